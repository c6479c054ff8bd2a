"""What the analysis page draws of a ring's model: champion against challenger, errors, drift."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.serving.analysis import Chosen, Period, counted
from skyops_assets.serving.reads import AnAirport, Form, listed, lists, upper
from skyops_assets.serving.rows import Rows

LATEST = SQL("""
select *
from ml.training_runs
where ring_nm = %(ring_nm)s
order by last_trained_at desc, training_run_id
limit 1
""")
STATE = SQL("""
with latest as ({latest})

select
    latest.training_run_id,
    latest.model_name,
    latest.recipe,
    latest.last_trained_at,
    latest.train_rows,
    latest.test_rows,
    latest.untrained_reason,
    challengers.version as challenger_version,
    champions.version as champion_version,
    decisions.decided_at,
    decisions.is_promoted,
    decisions.summary
from latest
left join ml.model_versions as challengers
    on latest.training_run_id = challengers.training_run_id
left join ml.model_versions as champions
    on latest.model_name = champions.model_name and champions.is_champion
left join ml.promotion_decisions as decisions
    on latest.training_run_id = decisions.training_run_id
order by challengers.registered_at desc nulls last
limit 1
""").format(latest=LATEST)
SCORES = SQL("""
select
    evaluations.candidate,
    evaluations.role,
    evaluations.scored_rows,
    evaluations.mae_min,
    evaluations.rmse_min,
    evaluations.r2,
    evaluations.bias_min,
    evaluations.p90_min,
    evaluations.within_1min_share,
    evaluations.within_2min_share,
    evaluations.reference,
    evaluations.is_reference,
    evaluations.skill,
    evaluations.skill_low,
    evaluations.skill_high,
    evaluations.champion,
    evaluations.champion_gain,
    evaluations.champion_gain_low,
    evaluations.champion_gain_high
from ml.evaluations as evaluations
inner join ({latest}) as latest on evaluations.training_run_id = latest.training_run_id
order by
    array_position(array['challenger', 'champion', 'baseline'], evaluations.role),
    evaluations.mae_min nulls last,
    evaluations.candidate
""").format(latest=LATEST)
IMPORTANCE = SQL("""
select importance.feature_group, importance.mae_rise_min
from ml.feature_importance as importance
inner join ({latest}) as latest on importance.training_run_id = latest.training_run_id
order by importance.mae_rise_min desc, importance.feature_group
""").format(latest=LATEST)
LIGHTS = SQL("""
with latest as ({latest})

select
    reasons.reason ->> 'light' as light,
    reasons.reason ->> 'rule' as rule,
    (reasons.reason ->> 'is_passed')::boolean as is_passed,
    reasons.reason ->> 'text' as text
from ml.promotion_decisions as decisions
inner join latest on decisions.training_run_id = latest.training_run_id
cross join jsonb_array_elements(decisions.reasons) with ordinality as reasons (reason, place)
order by
    array_position(
        array['technical', 'operational', 'logical', 'statistical'], reasons.reason ->> 'light'
    ),
    reasons.place
""").format(latest=LATEST)
LATENCY = SQL("""
select
    evidence.measured_at,
    versions.version,
    runs.recipe,
    evidence.p50_ms,
    evidence.p95_ms,
    evidence.p99_ms,
    evidence.start_s,
    evidence.peak_memory_mb
from ml.challenger_evidence as evidence
inner join ml.training_runs as runs on evidence.training_run_id = runs.training_run_id
left join ml.model_versions as versions on evidence.mlflow_run_id = versions.mlflow_run_id
where runs.ring_nm = %(ring_nm)s
order by evidence.measured_at desc, evidence.training_run_id
limit 30
""")
# What was predicted before it was learned from, and is known by now. The predictor is the one that
# predicted last; the baseline is that stored beside each of its predictions: one sample.
ANSWERED = SQL("""
select
    case
        when predictions.model_name like 'baseline:%%' then predictions.model_name
        else predictions.model_version
    end as predictor,
    predictions.predicted_transit_min,
    outcomes.error_min,
    predictions.baseline,
    predictions.baseline_transit_min
    - (predictions.predicted_transit_min - outcomes.error_min) as baseline_error_min
from ml.predictions as predictions
inner join ml.prediction_outcomes as outcomes
    on
        predictions.flight_id = outcomes.flight_id
        and predictions.airport = outcomes.airport
        and predictions.ring_nm = outcomes.ring_nm
        and predictions.model_name = outcomes.model_name
        and predictions.model_version = outcomes.model_version
where
    predictions.ring_nm = %(ring_nm)s
    and not predictions.is_in_sample
    and outcomes.error_min is not null
    and (%(since)s::timestamptz is null or predictions.crossed_at >= %(since)s)
    and (%(until)s::timestamptz is null or predictions.crossed_at < %(until)s)
    and (%(airport)s::text is null or predictions.airport = %(airport)s)
    and (predictions.model_name, predictions.model_version) = (
        select last_one.model_name, last_one.model_version
        from ml.predictions as last_one
        where last_one.ring_nm = %(ring_nm)s
        order by last_one.predicted_at desc, last_one.model_name, last_one.model_version
        limit 1
    )
""")
ERRORS = SQL("""
with answered as ({answered}),

errors as (
    select predictor, error_min
    from answered
    where
        baseline_error_min is not null
        or not exists (select 1 from answered where baseline_error_min is not null)
    union all
    select baseline, baseline_error_min
    from answered
    where baseline_error_min is not null and baseline <> predictor
)

select
    predictor,
    least(greatest(floor(error_min * 2) / 2, -10), 10) as from_error_min,
    count(*) as prediction_count,
    count(*) / sum(count(*)) over (partition by predictor)::double precision as share
from errors
group by predictor, from_error_min
order by predictor, from_error_min
""").format(answered=ANSWERED)
RESIDUALS = SQL("""
with answered as ({answered})

select
    floor(predicted_transit_min / 2) * 2 as from_predicted_min,
    count(*) as prediction_count,
    percentile_cont(0.1) within group (order by error_min) as p10_error_min,
    percentile_cont(0.5) within group (order by error_min) as median_error_min,
    percentile_cont(0.9) within group (order by error_min) as p90_error_min
from answered
group by from_predicted_min
order by from_predicted_min
limit 200
""").format(answered=ANSWERED)
DRIFT = SQL("""
select
    window_end_at,
    logged_at,
    model_version,
    verdict,
    skill,
    mae_min,
    drift_score,
    triggered,
    details ->> 'decision' as decision
from audit.monitoring_log
where
    kind = 'monitor'
    and model_name = (
        select model_name from ml.training_runs where ring_nm = %(ring_nm)s limit 1
    )
order by log_id desc
limit 200
""")
DRIFTED = SQL("""
with latest as (
    select details
    from audit.monitoring_log
    where
        kind = 'monitor'
        and model_name = (
            select model_name from ml.training_runs where ring_nm = %(ring_nm)s limit 1
        )
    order by log_id desc
    limit 1
)

select
    found.beyond ->> 'column' as feature,
    found.beyond ->> 'statistic' as statistic,
    (found.beyond ->> 'value')::double precision as value,
    (found.beyond ->> 'threshold')::double precision as threshold
from latest
cross join jsonb_array_elements(latest.details -> 'beyond') as found (beyond)
order by feature, statistic
""")

router = lists("/analysis/model")


class State(BaseModel):
    """The newest training of a ring's model, and what became of it."""

    training_run_id: str
    model_name: str
    recipe: str
    last_trained_at: datetime
    train_rows: int
    test_rows: int
    untrained_reason: str | None = Field(description="Why there is no challenger.")
    challenger_version: str | None
    champion_version: str | None
    decided_at: datetime | None
    is_promoted: bool | None
    summary: str | None = Field(description="The gatekeeper's decision in a sentence.")


class Score(BaseModel):
    """A candidate on the test rows of the newest training: all on the same ones."""

    candidate: str
    role: Literal["challenger", "champion", "baseline"]
    scored_rows: int
    mae_min: float | None
    rmse_min: float | None
    r2: float | None
    bias_min: float | None
    p90_min: float | None = Field(description="90th percentile of the absolute error.")
    within_1min_share: float | None
    within_2min_share: float | None
    reference: str | None = Field(description="The baseline that skill is measured against.")
    is_reference: bool
    skill: float | None = Field(description="1 - MAE / MAE of the reference.")
    skill_low: float | None
    skill_high: float | None
    champion: str | None
    champion_gain: float | None = Field(description="1 - MAE / MAE of the champion.")
    champion_gain_low: float | None
    champion_gain_high: float | None


class Importance(BaseModel):
    """How much larger the challenger's MAE is when a group of features is permuted."""

    feature_group: str
    mae_rise_min: float


class Light(BaseModel):
    """One of the gatekeeper's rules, and what it found."""

    light: str | None
    rule: str
    is_passed: bool
    text: str


class Latency(BaseModel):
    """How long a challenger takes, in a fresh process."""

    measured_at: datetime
    version: str | None
    recipe: str
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    start_s: float | None
    peak_memory_mb: float | None


class ErrorBin(BaseModel):
    """Errors in steps of half a minute; the outermost hold all that is beyond."""

    predictor: str
    from_error_min: float
    prediction_count: int
    share: float


class Residual(BaseModel):
    """Errors of predictions that are alike, in steps of two minutes."""

    from_predicted_min: float
    prediction_count: int
    p10_error_min: float
    median_error_min: float
    p90_error_min: float


class Verdict(BaseModel):
    """What monitoring found."""

    window_end_at: datetime | None
    logged_at: datetime
    model_version: str | None
    verdict: str | None
    skill: float | None
    mae_min: float | None
    drift_score: float | None = Field(
        description="Share of the feature groups beyond their threshold."
    )
    triggered: bool
    decision: str | None


class Drifted(BaseModel):
    """A statistic of a feature that is beyond its threshold."""

    feature: str
    statistic: str
    value: float
    threshold: float


Ring = Annotated[int, Query(ge=1, le=200, description="The model of this ring, in NM.")]


def _of_ring(ring_nm: Ring = 40) -> Chosen:
    """Whose model."""
    return {"ring_nm": ring_nm}


Of = Annotated[Chosen, Depends(_of_ring)]


@router.get("", response_model=Rows[State], responses=listed({
    "training_run_id": "3f0c", "model_name": "arrival-transit-40nm", "recipe": "hgb-l1",
    "last_trained_at": "2021-10-08T03:00:00Z", "train_rows": 5120, "test_rows": 1280,
    "untrained_reason": None, "challenger_version": "2", "champion_version": "1",
    "decided_at": "2021-10-08T03:01:10Z", "is_promoted": False,
    "summary": "not promoted: statistical",
}))  # fmt: skip
async def state(request: Request, of: Of, format: Form = None) -> Response:
    """The newest training run, its challenger, the champion and the decision; empty without one."""
    return await counted(request, State, STATE, of, format)


@router.get("/scores", response_model=Rows[Score], responses=listed({
    "candidate": "arrival-transit-40nm v2", "role": "challenger", "scored_rows": 1280,
    "mae_min": 1.02, "rmse_min": 1.61, "r2": 0.84, "bias_min": 0.05, "p90_min": 2.31,
    "within_1min_share": 0.63, "within_2min_share": 0.87, "reference": "sector_median",
    "is_reference": False, "skill": 0.31, "skill_low": 0.27, "skill_high": 0.35,
    "champion": "arrival-transit-40nm v1", "champion_gain": 0.03, "champion_gain_low": 0.01,
    "champion_gain_high": 0.05,
}))  # fmt: skip
async def scores(request: Request, of: Of, format: Form = None) -> Response:
    """Challenger, champion and baselines on the same test rows."""
    return await counted(request, Score, SCORES, of, format)


@router.get("/importance", response_model=Rows[Importance], responses=listed({
    "feature_group": "entry bearing", "mae_rise_min": 0.71,
}))  # fmt: skip
async def importance(request: Request, of: Of, format: Form = None) -> Response:
    """Feature importance of the challenger: the rise of its MAE when a feature group is
    permuted."""
    return await counted(request, Importance, IMPORTANCE, of, format)


@router.get("/lights", response_model=Rows[Light], responses=listed({
    "light": "statistical", "rule": "skill", "is_passed": False,
    "text": "the interval's lower bound is 1 %, and 2 % are needed",
}))  # fmt: skip
async def lights(request: Request, of: Of, format: Form = None) -> Response:
    """The gatekeeper's rules for the newest challenger, by light."""
    return await counted(request, Light, LIGHTS, of, format)


@router.get("/latency", response_model=Rows[Latency], responses=listed({
    "measured_at": "2021-10-08T03:01:00Z", "version": "2", "recipe": "hgb-l1", "p50_ms": 0.06,
    "p95_ms": 0.09, "p99_ms": 0.14, "start_s": 0.9, "peak_memory_mb": 108.4,
}))  # fmt: skip
async def latency(request: Request, of: Of, format: Form = None) -> Response:
    """Prediction times of the last thirty challengers, newest first."""
    return await counted(request, Latency, LATENCY, of, format)


@router.get("/errors", response_model=Rows[ErrorBin], responses=listed({
    "predictor": "1", "from_error_min": -0.5, "prediction_count": 210, "share": 0.18,
}))  # fmt: skip
async def errors(
    request: Request, of: Of, period: Period, airport: AnAirport = None, format: Form = None
) -> Response:
    """Errors of the present predictor, and of the baseline on the same crossings."""
    values = of | period | {"airport": upper(airport)}
    return await counted(request, ErrorBin, ERRORS, values, format)


@router.get("/residuals", response_model=Rows[Residual], responses=listed({
    "from_predicted_min": 12.0, "prediction_count": 210, "p10_error_min": -1.4,
    "median_error_min": 0.1, "p90_error_min": 1.6,
}))  # fmt: skip
async def residuals(
    request: Request, of: Of, period: Period, airport: AnAirport = None, format: Form = None
) -> Response:
    """Errors of the present predictor, by predicted transit time."""
    values = of | period | {"airport": upper(airport)}
    return await counted(request, Residual, RESIDUALS, values, format)


@router.get("/monitoring", response_model=Rows[Verdict], responses=listed({
    "window_end_at": "2021-10-09T03:00:00Z", "logged_at": "2021-10-09T04:00:00Z",
    "model_version": "1", "verdict": "ok", "skill": 0.29, "mae_min": 1.05, "drift_score": 0.1,
    "triggered": False, "decision": "no retraining",
}))  # fmt: skip
async def monitoring(request: Request, of: Of, format: Form = None) -> Response:
    """The last two hundred monitoring results, newest first."""
    return await counted(request, Verdict, DRIFT, of, format)


@router.get("/drifted", response_model=Rows[Drifted], responses=listed({
    "feature": "ground_speed_mps", "statistic": "psi", "value": 0.31, "threshold": 0.22,
}))  # fmt: skip
async def drifted(request: Request, of: Of, format: Form = None) -> Response:
    """Features beyond their drift threshold in the latest monitoring result."""
    return await counted(request, Drifted, DRIFTED, of, format)
