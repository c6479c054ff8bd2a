"""GET /v1/predictions/{id} and /v1/models: what was said and why, and by which models."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from psycopg.errors import InvalidSchemaName, UndefinedTable
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.arrivals.store.versions import VERSIONS, model_name
from skyops_assets.serving.access import READ, Caller, allowed
from skyops_assets.serving.pages import JSON_TYPE, tagged
from skyops_assets.serving.problems import Problem, responses
from skyops_assets.serving.records import FEATURE_COLUMNS

router = APIRouter(tags=["predictions"])

LOGGED_WITHIN_S = 2.0
"""A prediction is looked for so long after it was given: by then it is in the log."""
_OF_THE_LANE = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Z0-9]{4}):([0-9]{1,3})")
_SAID = (
    "airport, icao24, flight_id, ring_nm, crossed_at, model_name as model, model_version as version"
)
OF_THE_SERVICE = f"""
select {_SAID}, asked_at as given_at, transit_min, low_min, high_min, features
from ml.service_predictions where id = %(id)s::uuid
"""  # noqa: S608
OF_THE_LANE = f"""
select {_SAID}, predicted_at as given_at, predicted_transit_min as transit_min,
    predicted_low_min as low_min, predicted_high_min as high_min
from ml.predictions
where flight_id = %(flight_id)s and airport = %(airport)s and ring_nm = %(ring_nm)s
order by predicted_at desc limit 1
"""  # noqa: S608
CROSSING = SQL(
    "select {} from features.crossing_features as crossings"
    " where flight_id = %(flight_id)s and airport = %(airport)s and ring_nm = %(ring_nm)s"
).format(FEATURE_COLUMNS)


class Moved(BaseModel):
    """What a group of features does to an answer."""

    group: str
    minutes: float = Field(
        description="The prediction minus the mean prediction with these features taken from other "
        "training arrivals at this airport: above zero, they make it later."
    )


class Prediction(BaseModel):
    """One prediction, what it was made of, and what moved it most."""

    id: str
    given_at: datetime
    model: str
    version: str
    ring_nm: int
    airport: str
    icao24: str | None
    flight_id: str | None
    crossed_at: datetime
    transit_min: float | None
    low_min: float | None
    high_min: float | None
    features: dict[str, float | str] = Field(description="Known features; the others were missing.")
    moved: list[Moved] | None = Field(
        description="Largest effect first. Explains the model's prediction, not what delays the "
        "flight; effects overlap and do not add up. Null if unknown: see `not_moved_why`."
    )
    not_moved_why: str | None


class Version(BaseModel):
    """A version of a ring's model, and what was measured before it was decided on."""

    version: str
    is_champion: bool
    is_challenger: bool = Field(description="From the latest training run.")
    recipe: str
    trained_from_at: datetime | None
    trained_through_at: datetime | None
    train_rows: int
    scored_rows: int | None = Field(description="Newer arrivals on which it was measured.")
    mae_min: float | None
    skill: float | None = Field(description="1 - MAE / MAE of `reference`, the best baseline.")
    skill_low: float | None = Field(description="Lower end of the 95 % interval.")
    skill_high: float | None
    reference: str | None
    is_promoted: bool | None = Field(
        description="The gatekeeper's decision; null if there was none."
    )
    summary: str | None = Field(description="The decision in a sentence.")
    decided_at: datetime | None
    promoted_at: datetime | None
    promoted_by: str | None
    registered_at: datetime


class Ring(BaseModel):
    """A ring, its model, and what answers at present."""

    ring_nm: int
    model: str
    in_force: str | None = Field(description="MODEL:VERSION or baseline:NAME:RUN; null: nothing.")
    trouble: str | None = Field(description="Why that is not the champion, if it is not.")
    versions: list[Version] = Field(description="Oldest first.")


class Models(BaseModel):
    """The models, ring by ring."""

    rings: list[Ring]


@router.get(
    "/predictions/{id}",
    response_model=Prediction,
    responses={
        200: {"content": {"application/json": {"example": {
            "id": "019a1c3e-8f2b-7c4d-9e5f-0a1b2c3d4e5f",
            "given_at": "2021-10-07T13:17:40.120000Z", "model": "arrival-transit-40nm",
            "version": "3", "ring_nm": 40, "airport": "LFPO", "icao24": "39ceb1",
            "flight_id": "39ceb1_20211007T131312Z", "crossed_at": "2021-10-07T13:17:39.200000Z",
            "transit_min": 11.66, "low_min": 9.9, "high_min": 14.8,
            "features": {"airport": "LFPO", "sector": "SW", "altitude_m": 3048.0},
            "moved": [{"group": "entry bearing", "minutes": -2.1},
                      {"group": "congestion", "minutes": 0.8}],
            "not_moved_why": None,
        }}}},
        **responses(401, 403, 404, 422, 429, 503),
        304: {"description": "Not modified: `If-None-Match` names the present content."},
    },
)  # fmt: skip
async def prediction(
    request: Request,
    id: Annotated[str, Path(
        description="The id from /v1/predict, or FLIGHT:AIRPORT:RING for a prediction of the live "
        "lane.",
        examples=["39ceb1_20211007T131312Z:LFPO:40"],
        max_length=100,
    )],
    _: Annotated[Caller, Depends(allowed(READ))],
) -> Response:  # fmt: skip
    """One prediction, its features, and the feature groups that moved it most."""
    service = request.app.state.service
    found = await _find(service.database, id)
    if found is None:
        raise Problem(404, f"There is no prediction {id!r}; predictions are kept for 90 days.")
    moved, why = await _moved(service.predictors, found)
    return _answer(request, {**found, "id": id, "moved": moved, "not_moved_why": why})


@router.get(
    "/models",
    response_model=Models,
    responses={
        200: {"content": {"application/json": {"example": {"rings": [{
            "ring_nm": 40, "model": "arrival-transit-40nm", "in_force": "arrival-transit-40nm:3",
            "trouble": None, "versions": [{
                "version": "3", "is_champion": True, "is_challenger": True, "recipe": "hgb-l1",
                "trained_from_at": "2021-09-01T00:00:00Z",
                "trained_through_at": "2021-10-01T00:00:00Z", "train_rows": 9034,
                "scored_rows": 1650, "mae_min": 1.93, "skill": 0.21, "skill_low": 0.17,
                "skill_high": 0.25, "reference": "baseline:sector_median", "is_promoted": True,
                "summary": "promoted: 21% gain against baseline:sector_median (at least 2%)",
                "decided_at": "2021-10-07T12:00:00Z", "promoted_at": "2021-10-07T12:00:00Z",
                "promoted_by": "gatekeeper", "registered_at": "2021-10-07T11:58:00Z",
            }],
        }]}}}},
        **responses(401, 403, 429, 503),
        304: {"description": "Not modified: `If-None-Match` names the present content."},
    },
)  # fmt: skip
async def models(request: Request, _: Annotated[Caller, Depends(allowed(READ))]) -> Response:
    """Every model version, the champion, and the measured figures."""
    service = request.app.state.service
    rings = []
    for ring_nm in RINGS_NM:
        name = model_name(ring_nm)
        answers = service.predictors.in_force.get(name)
        rings.append(
            {
                "ring_nm": ring_nm,
                "model": name,
                "in_force": answers and f"{answers.model}:{answers.version}",
                "trouble": service.predictors.trouble(name),
                "versions": [
                    {name: row[name] for name in Version.model_fields}
                    for row in await service.database.rows(VERSIONS, {"name": name})
                ],
            }
        )
    return _answer(request, {"rings": rings})


def _answer(request: Request, found: dict[str, Any]) -> Response:
    return tagged(request, orjson.dumps(found, option=orjson.OPT_UTC_Z), JSON_TYPE)


async def _find(database: Any, id: str) -> dict[str, Any] | None:
    if match := _OF_THE_LANE.fullmatch(id):
        key = dict(zip(("flight_id", "airport", "ring_nm"), match.groups(), strict=True))
        return await _of_the_lane(database, {**key, "ring_nm": int(key["ring_nm"])})
    try:
        number = uuid.UUID(id)
    except ValueError:
        raise Problem(
            404,
            f"There is no prediction {id!r}: an id is a UUID, or FLIGHT:AIRPORT:RING of the lane's "
            "own.",
        ) from None
    # Its first 48 bits are when it was made.
    until = (number.int >> 80) / 1000 + LOGGED_WITHIN_S
    while True:
        if rows := await database.rows(OF_THE_SERVICE, {"id": str(number)}):
            return dict(rows[0])
        if not time.time() < until < time.time() + 2 * LOGGED_WITHIN_S:
            return None
        await asyncio.sleep(0.1)


async def _of_the_lane(database: Any, key: dict[str, Any]) -> dict[str, Any] | None:
    rows = await database.rows(OF_THE_LANE, key)
    if not rows:
        return None
    try:
        crossings = await database.rows(CROSSING, key)
    except (UndefinedTable, InvalidSchemaName):
        crossings = []
    features = crossings[0] if crossings else {}
    return {**rows[0], "features": {k: v for k, v in features.items() if v is not None}}


async def _moved(
    predictors: Any, found: dict[str, Any]
) -> tuple[list[dict[str, Any]] | None, str | None]:
    if found["model"] != model_name(found["ring_nm"]):
        return None, "A baseline is a rule with one or two values, so no feature group moved it."
    if not found["features"]:
        return None, "The features of this crossing are no longer stored."
    try:
        version = await predictors.named(found["ring_nm"], found["version"])
    except Problem as problem:
        return None, problem.detail
    moved = version.graph.moved(found["features"])
    if not moved:
        return None, "The training set of this version is gone."
    return [{"group": group, "minutes": minutes} for group, minutes in moved], None
