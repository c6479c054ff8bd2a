"""Starting work and looking at it: runs of Dagster, through the GraphQL of its UI.

Not with Dagster's own client: it imports all of Dagster, 150 MB, for these two questions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Depends, Path, Request
from psycopg.sql import SQL
from pydantic import BaseModel, ConfigDict, Field

from skyops_assets.arrivals.features import RING_NM, RINGS_NM, named
from skyops_assets.serving.access import ADMIN, READ, TRAININGS, Caller, allowed, spend
from skyops_assets.serving.examples import LOOK, RUN, STARTED, answered
from skyops_assets.serving.pages import Aware, only_known
from skyops_assets.serving.problems import Problem, responses

router = APIRouter(
    tags=["runs"], dependencies=[Depends(only_known)], responses=responses(401, 403, 422, 429, 503)
)

TIMEOUT_S = 10.0
ASKED_BY = "skyops/asked_by"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId status } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on UnauthorizedError { message }
    ... on PipelineNotFoundError { message }
  }
}"""
STANDING = """
query Look($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { runId jobName status creationTime startTime endTime tags { key value } }
    ... on PythonError { message }
  }
}"""
COUNTED = SQL("""
select
    airport,
    count(*) as arrival_count,
    min(crossed_at) as crossed_from_at,
    max(crossed_at) as crossed_through_at
from features.arrival_features
where
    ring_nm = %(ring_nm)s
    and transit_min is not null
    and label_quality is distinct from 'provisional'
    and (%(all_airports)s or airport = any(%(airports)s))
    and (%(since)s::timestamptz is null or crossed_at >= %(since)s)
    and (%(until)s::timestamptz is null or crossed_at < %(until)s)
group by airport
order by airport
""")

RunStatus = Literal[
    "QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "SUCCESS", "FAILURE", "CANCELING",
    "CANCELED",
]  # fmt: skip
Recipe = Literal["hgb-l1", "ridge", "extra-trees", "random-forest"]
Code = Annotated[str, Field(pattern="^[A-Za-z]{4}$")]


class TrainRequest(BaseModel):
    """Which challenger is wanted; without a choice as the schedule trains it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ring_nm": 40, "recipe": "hgb-l1", "dry_run": True}]},
    )

    ring_nm: Literal[40, 100] = RING_NM  # type: ignore[assignment]
    recipe: Recipe | None = Field(None, description="Unset: `SKYOPS_RECIPE`.")
    airports: list[Code] = Field(
        [],
        max_length=100,
        description="Only arrivals at these airports. A person promotes such a model.",
    )
    since: Aware | None = Field(None, description="Only arrivals that crossed from this time on.")
    until: Aware | None = Field(None, description="Only arrivals that crossed before this time.")
    dry_run: bool = Field(False, description="Only report the arrivals that would be used.")


class AirportArrivals(BaseModel):
    """The arrivals of an airport that there are to learn from and to test on."""

    airport: str
    arrival_count: int
    crossed_from_at: datetime
    crossed_through_at: datetime


class Started(BaseModel):
    """A run that was asked for, or what it would do."""

    run_id: str | None = Field(description="null for a dry run.")
    status: RunStatus | None
    link: str | None = Field(description="The run in the Dagster UI.")
    ring_nm: int | None = None
    arrival_count: int | None = Field(
        None, description="With a label that is settled; what dbt has not tested yet included."
    )
    airports: list[AirportArrivals] | None = None


class MonitorRequest(BaseModel):
    """A look at the champions."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"retrain": False}]})

    retrain: bool = Field(False, description="Also train challengers, unless a data check fails.")


class Measured(BaseModel):
    """A candidate of the run's evaluation."""

    candidate: str
    rows: int | None
    mae_min: float | None
    rmse_min: float | None
    r2: float | None
    skill: float | None
    skill_low: float | None
    skill_high: float | None


class Trained(BaseModel):
    """What a run trained, and the gatekeeper's word on it."""

    ring_nm: int
    model_name: str
    model_version: str | None
    recipe: str
    train_rows: int
    test_rows: int
    untrained_reason: str | None
    is_promoted: bool | None
    decision: str | None
    candidates: list[Measured]


class Monitored(BaseModel):
    """A verdict of the run on a champion."""

    logged_at: datetime
    kind: str
    model_version: str | None
    verdict: str | None
    skill: float | None
    mae_min: float | None
    drift_score: float | None
    is_retraining: bool
    error: str | None


class Run(BaseModel):
    """A run of Dagster, and what SkyOps has of it."""

    run_id: str
    job: str
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    link: str
    asked_by: str | None = Field(description="The API key that requested the run.")
    trained: list[Trained]
    monitored: list[Monitored]


@router.post("/train", status_code=202, responses={**answered(STARTED, 202), **responses(409)})
async def train(
    request: Request, asked: TrainRequest, caller: Annotated[Caller, Depends(allowed(ADMIN))]
) -> Started:
    """Train a challenger, evaluate it and let the gatekeeper decide; returns the run's id."""
    airports = sorted({code.upper() for code in asked.airports})
    found = await request.app.state.service.database.rows(
        COUNTED,
        {
            "ring_nm": asked.ring_nm,
            "all_airports": not airports,
            "airports": airports,
            "since": asked.since,
            "until": asked.until,
        },
    )
    plan: dict[str, Any] = {
        "ring_nm": asked.ring_nm,
        "arrival_count": sum(row["arrival_count"] for row in found),
        "airports": found,
    }
    if asked.dry_run:
        return Started(run_id=None, status=None, link=None, **plan)
    if not found:
        raise Problem(409, "No arrivals match this choice; `dry_run` counts them.")
    choice = {
        "airports": airports,
        "since": asked.since and asked.since.isoformat(),
        "until": asked.until and asked.until.isoformat(),
    }
    operations = {
        f"ml__{named('training_sets', asked.ring_nm)}": {"config": choice},
        f"ml__{named('training_runs', asked.ring_nm)}": {"config": {"recipe": asked.recipe}},
    }
    run = await _launch(request, named("retrain", asked.ring_nm), operations, caller)
    return Started(**run, **plan)


@router.post("/monitor", status_code=202, responses=answered(LOOK, 202))
async def monitor(
    request: Request, asked: MonitorRequest, caller: Annotated[Caller, Depends(allowed(ADMIN))]
) -> Started:
    """Monitor the champions now: skill, drift and whether to retrain; returns the run's id."""
    config = {"request": "button" if asked.retrain else None}
    operations = {"audit__monitoring_log": {"config": config}}
    return Started(**await _launch(request, "monitor", operations, caller))


@router.get(
    "/runs/{run_id}",
    dependencies=[Depends(allowed(READ))],
    responses={**answered(RUN), **responses(404)},
)
async def run(
    request: Request,
    run_id: Annotated[str, Path(pattern="^[0-9a-f-]{36}$", description="A UUID.")],
) -> Run:
    """A run's state, the model it trained, its decision, and its monitoring results."""
    found = (await _ask(request, STANDING, {"id": run_id}))["runOrError"]
    if found["__typename"] == "RunNotFoundError":
        raise Problem(404, f"There is no run {run_id!r}.")
    if found["__typename"] != "Run":
        raise Problem(503, "Dagster cannot report the run's state; its UI says why.")
    database = request.app.state.service.database
    values = {"run_id": run_id}
    trained = await database.rows(
        """
        select
            runs.training_run_id, runs.ring_nm, runs.model_name, versions.version as model_version,
            runs.recipe, runs.train_rows, runs.test_rows, runs.untrained_reason,
            decisions.is_promoted, decisions.summary as decision
        from ml.training_runs as runs
        left join lateral (
            select version from ml.model_versions
            where training_run_id = runs.training_run_id order by registered_at desc limit 1
        ) as versions on true
        left join ml.promotion_decisions as decisions using (training_run_id)
        where runs.dagster_run_id = %(run_id)s
        order by runs.ring_nm
        """,
        values,
    )
    for one in trained:
        one["candidates"] = await database.rows(
            """
            select
                candidate, scored_rows as rows, mae_min, rmse_min, r2, skill, skill_low, skill_high
            from ml.evaluations where training_run_id = %(training_run_id)s order by mae_min
            """,
            {"training_run_id": one["training_run_id"]},
        )
    monitored = await database.rows(
        """
        select
            logged_at, kind, model_version, verdict, skill, mae_min, drift_score,
            triggered as is_retraining, error
        from audit.monitoring_log where run_id = %(run_id)s order by log_id
        """,
        values,
    )
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    return Run(
        run_id=run_id,
        job=found["jobName"],
        status=found["status"],
        created_at=_at(found["creationTime"]),
        started_at=_at(found["startTime"]),
        ended_at=_at(found["endTime"]),
        link=_link(request, run_id),
        asked_by=tags.get(ASKED_BY),
        trained=[Trained(**one) for one in trained],
        monitored=[Monitored(**one) for one in monitored],
    )


async def _launch(
    request: Request, job: str, operations: dict[str, Any], caller: Caller
) -> dict[str, Any]:
    """Start a job.

    Raises:
        Problem: 429, the caller has had its part of an hour; 503, Dagster does not take it.
    """
    await spend(request, caller, TRAININGS)
    params = {
        "selector": {
            "repositoryLocationName": "skyops",
            "repositoryName": "__repository__",
            "jobName": job,
        },
        "runConfigData": {"ops": operations},
        "executionMetadata": {"tags": [{"key": ASKED_BY, "value": caller.key_id}]},
    }
    answer = (await _ask(request, LAUNCH, {"params": params}))["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        said = answer.get("message") or "; ".join(
            one["message"] for one in answer.get("errors", ())
        )
        raise Problem(
            503, f"Dagster did not start the job {job!r} ({said or answer['__typename']})."
        )
    started = answer["run"]
    return {
        "run_id": started["runId"],
        "status": started["status"],
        "link": _link(request, started["runId"]),
    }


async def _ask(request: Request, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    address = request.app.state.service.settings.ui_address
    try:
        # No proxy of the surroundings leads to the UI.
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(
                f"{address}/graphql", json={"query": query, "variables": variables}
            )
            answer.raise_for_status()
            body = answer.json()
    except (httpx.HTTPError, ValueError):
        raise Problem(
            503,
            f"The Dagster UI at {address} cannot be reached: see that it runs (skyops up), and "
            "that SKYOPS_UI_URL is its address.",
            {"Retry-After": "30"},
        ) from None
    if not body.get("data"):
        raise Problem(503, f"The Dagster UI at {address} did not understand the service.")
    data: dict[str, Any] = body["data"]
    return data


def _link(request: Request, run_id: str) -> str:
    return f"{request.app.state.service.settings.ui_address}/runs/{run_id}"


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


assert set(RINGS_NM) == {40, 100}  # As `TrainRequest.ring_nm` says.
