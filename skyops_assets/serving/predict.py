"""POST /v1/predict: minutes to the landing of each record, by the champion or a named version."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg.sql import SQL
from pydantic import ValidationError

from skyops_assets.arrivals.features import FEATURES, RING_NM
from skyops_assets.serving import metrics, records
from skyops_assets.serving.access import PREDICT, PREDICTIONS, Caller, allowed
from skyops_assets.serving.database import Database
from skyops_assets.serving.predictors import Predictor
from skyops_assets.serving.problems import Problem, responses

router = APIRouter(tags=["predictions"])

NO_LOG = (
    "No prediction can be given, because it cannot be logged: neither the warehouse nor the disk "
    "accepts it. Free disk space or restore the warehouse."
)
FLIGHTS_OF_EACH = 20
"""Of an aircraft, the newest: its latest crossing is of one of these."""
LATEST = SQL(
    """
select distinct on (asked.place)
    asked.place, flights.icao24, crossings.flight_id, crossings.crossed_at, {}
from unnest(%(icao24)s::text[], %(airports)s::text[]) with ordinality
    as asked (icao24, airport, place)
cross join lateral (
    select known.icao24, known.flight_id from metrics.fct_flights as known
    where known.icao24 = asked.icao24 order by known.first_seen_at desc limit %(newest)s
) as flights
inner join features.crossing_features as crossings
    on crossings.flight_id = flights.flight_id and crossings.ring_nm = %(ring_nm)s
where asked.airport is null or crossings.airport = asked.airport
order by asked.place, crossings.crossed_at desc
"""
).format(records.FEATURE_COLUMNS)
_IS_FEATURE = frozenset(FEATURES)


@router.post(
    "/predict",
    summary="Predict landings",
    response_class=Response,
    responses={
        200: {
            "description": "Predictions, in the order of the request.",
            "model": records.Answer,
            "content": {"application/json": {"example": records.EXAMPLE_ANSWER}},
        },
        **responses(401, 403, 404, 413, 422, 429, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": records.body_schema(),
                    "examples": {
                        "features of a crossing": {
                            "value": {"ring_nm": 40, "records": [records.EXAMPLE_RECORD]}
                        },
                        "an aircraft that SkyOps follows": {
                            "value": {"ring_nm": 40, "aircraft": [{"icao24": "39ceb1"}]}
                        },
                    },
                }
            },
        }
    },
)
async def predict(
    request: Request, caller: Annotated[Caller, Depends(allowed(PREDICT, PREDICTIONS))]
) -> Response:
    """Predict the minutes from a ring to the runway for aircraft that cross the ring.

    Give `records` with the features of a crossing, or `aircraft` that SkyOps follows, which are
    predicted from their latest crossing of the ring. The champion predicts, or the named `version`.
    Each prediction is logged; its id leads to an explanation.
    """
    began = time.perf_counter()
    service = request.app.state.service
    if service.prediction_log.is_refusing:
        raise Problem(503, NO_LOG, {"Retry-After": "5"})
    asked = _read(await request.body())
    ring_nm, number = asked.get("ring_nm", RING_NM), asked.get("version")
    predictor: Predictor = service.predictors.champion(ring_nm)
    is_champion = number is None and predictor.is_model
    if number is not None:
        current, predictor = predictor, await service.predictors.named(ring_nm, number)
        is_champion = current is predictor
    rows = asked.get("records")
    if rows is None:
        rows = await latest_crossings(service.database, asked["aircraft"], ring_nm)
    now = datetime.now(UTC)
    _set_times(rows, now)
    given, lines = _say(predictor, rows, ring_nm, caller.key_id, now=now, began=began)
    service.prediction_log.add(lines)
    answer = {
        "ring_nm": ring_nm,
        "model": predictor.model,
        "version": predictor.version,
        "is_champion": is_champion,
        "predictions": given,
    }
    return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), media_type="application/json")


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = records.question.validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if any(
            one["type"] == "extra_forbidden" and one["loc"][-1] in records.POSITION for one in found
        ):
            raise Problem(422, records.NO_FREE_POSITION) from None
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in found]
        ) from None
    if ("records" in asked) == ("aircraft" in asked):
        raise Problem(422, "Give either `records` or `aircraft`: one of the two, and not both.")
    return asked


def _set_times(rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Each row's `crossed_at` in UTC, `now` where none was given."""
    for place, row in enumerate(rows):
        at: datetime = row.get("crossed_at") or now
        if not records.FIRST <= at < records.LAST:
            raise Problem(
                422, f"body.records.{place}.crossed_at is {at.isoformat()}, not of this century."
            )
        row["crossed_at"] = at.astimezone(UTC)


def _say(
    predictor: Predictor,
    rows: Sequence[dict[str, Any]],
    ring_nm: int,
    key_id: str,
    *,
    now: datetime,
    began: float,
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What is answered, and the rows of the log."""
    given, lines = [], []
    asked_at = time.perf_counter()
    found = predictor.ask(rows)
    metrics.predicted(predictor.model, predictor.version, time.perf_counter() - asked_at, found[0])
    latency_ms = 1000 * (time.perf_counter() - began)
    for row, minutes, low, high in zip(rows, *found, strict=True):
        one = {
            "id": new_id(now),
            "airport": row["airport"],
            "icao24": row.get("icao24"),
            "flight_id": row.get("flight_id"),
            "crossed_at": row["crossed_at"],
            "transit_min": minutes,
            "low_min": low,
            "high_min": high,
        }
        logged = {
            **one,
            "asked_at": now,
            "key_id": key_id,
            "model_name": predictor.model,
            "model_version": predictor.version,
            "ring_nm": ring_nm,
            "features": {
                name: value
                for name, value in row.items()
                if value is not None and name in _IS_FEATURE
            },
            "latency_ms": latency_ms,
        }
        lines.append(orjson.dumps(logged))
        one["landing_at"] = (
            None if minutes is None else row["crossed_at"] + timedelta(minutes=minutes)
        )
        given.append(one)
    return given, lines


async def latest_crossings(
    database: Database, aircraft: Sequence[dict[str, str]], ring_nm: int
) -> list[dict[str, Any]]:
    """The features of each aircraft's latest crossing of the ring, at its airport where one is
    named.

    Raises:
        Problem: 404 where one has crossed none.
    """
    asked = {
        "icao24": [one["icao24"] for one in aircraft],
        "airports": [one.get("airport") for one in aircraft],
        "ring_nm": ring_nm,
        "newest": FLIGHTS_OF_EACH,
    }
    found = {row["place"]: row for row in await database.rows(LATEST, asked)}
    lacking = [one for place, one in enumerate(aircraft, 1) if place not in found]
    if lacking:
        one = lacking[0]
        where = f" of {one['airport']}" if "airport" in one else ""
        more = f" ({len(lacking) - 1} others have not either)" if len(lacking) > 1 else ""
        raise Problem(
            404, f"{one['icao24']} has crossed no {ring_nm} NM ring{where} that is known{more}."
        )
    return [found[place] for place in range(1, len(aircraft) + 1)]


def new_id(now: datetime) -> str:
    """A UUID of version 7: by time, so that the log's index grows at its end."""
    tail = secrets.token_hex(10)
    head = f"{int(now.timestamp() * 1000):012x}"
    variant = "89ab"[int(tail[3], 16) & 3]
    return f"{head[:8]}-{head[8:]}-7{tail[:3]}-{variant}{tail[4:7]}-{tail[7:19]}"
