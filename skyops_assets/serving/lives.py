"""How long components live, what is recommended of it, and which units are near their end."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.serving.pages import Filter, Key, answer, equal, page
from skyops_assets.serving.problems import Problem
from skyops_assets.serving.reads import Form, From, Paged, To, listed, lists, within
from skyops_assets.serving.rows import Rows

router = lists("/maintenance")
NAME = r"^[^\x00-\x1f]{1,200}$"
Scope = Literal["part", "chapter", "fleet"]
Measure = Literal["hours", "cycles"]
Component = Annotated[
    str | None,
    Query(pattern=NAME, description="Part number, ATA chapter (two digits), or name of a fleet."),
]
AScope = Annotated[Scope | None, Query(description="Kind of component.")]
AMeasure = Annotated[Measure | None, Query(description="Unit of its life.")]
AFleet = Annotated[
    str | None,
    Query(pattern=NAME, description="Group of units that can be compared with each other."),
]
AQuestion = Annotated[
    Literal["interval", "remaining life", "failure within", "limit"] | None,
    Query(description="Subject of the decision."),
]


class ComponentLife(BaseModel):
    """How long a component lives, in hours or cycles, and the interval that follows."""

    scope: Scope
    component: str = Field(description="Part number, ATA chapter, or name of a fleet.")
    measure: Measure = Field(description="Unit of ages and intervals.")
    life_count: int
    failure_count: int
    censored_count: int = Field(description="Lives that ended without a failure or still continue.")
    median_life: float | None
    km_interval: float | None = Field(
        description="Age at which the share without a failure falls below the target, by "
        "Kaplan-Meier."
    )
    km_interval_low: float | None
    km_interval_high: float | None
    weibull_shape: float | None = Field(description="Above 1 means wear-out.")
    weibull_shape_low: float | None
    weibull_shape_high: float | None
    weibull_scale: float | None
    weibull_scale_low: float | None
    weibull_scale_high: float | None
    failure_free_life: float | None
    target_survival: float
    interval_life: float | None = Field(description="Age that the target share of units reaches.")
    interval_low: float | None
    interval_high: float | None
    programme_interval: float | None = Field(description="From the maintenance programme.")
    recommended_interval: float | None = Field(description="Null if the gate refused it.")
    decision: str = Field(description="Why it is or is not recommended.")
    known_through_on: date | None
    fitted_at: datetime


class Step(BaseModel):
    """A step of a component's survival curve, with its 95 % band."""

    age: float
    survival: float
    low: float
    high: float


class Outlook(BaseModel):
    """What is expected of a unit with sensor readings."""

    fleet: str
    unit: str
    airframe: str | None
    icao24: str | None = Field(description="The aircraft's 24-bit address, in hexadecimal.")
    cycle: int = Field(description="Cycle of its latest reading.")
    observed_on: date | None
    remaining_life_cycles: float | None
    remaining_life_low_cycles: float | None = Field(description="Lower end of the 90 % interval.")
    remaining_life_high_cycles: float | None = Field(description="Upper end of the 90 % interval.")
    limit_cycles: float | None = Field(
        description="A unit is removed when its remaining life is at or below this."
    )
    is_at_limit: bool | None
    within_cycles: int
    failure_probability: float | None = Field(
        description="Probability of a failure within `within_cycles` cycles."
    )
    probability_model: str | None
    why_null: str | None = Field(description="Why nothing is predicted.")
    computed_at: datetime


class ReliabilityDecision(BaseModel):
    """A decision on an interval, a limit or a model of failures."""

    decided_at: datetime
    question: str
    scope: Scope
    component: str
    measure: Measure
    model: str
    is_recommended: bool
    value: float | None
    summary: str
    fingerprint: str = Field(description="Hash of the data, the policy and the method.")


LIFE: dict[str, Any] = {
    "scope": "fleet",
    "component": "FD001",
    "measure": "cycles",
    "life_count": 100,
    "failure_count": 100,
    "censored_count": 0,
    "median_life": 199.0,
    "km_interval": 147.0,
    "km_interval_low": 128.0,
    "km_interval_high": 154.0,
    "weibull_shape": 4.35,
    "weibull_shape_low": 3.84,
    "weibull_shape_high": 5.8,
    "weibull_scale": 224.7,
    "weibull_scale_low": 210.6,
    "weibull_scale_high": 237.8,
    "failure_free_life": 124.8,
    "target_survival": 0.95,
    "interval_life": 143.1,
    "interval_low": 137.1,
    "interval_high": 154.4,
    "programme_interval": None,
    "recommended_interval": 143.1,
    "decision": "recommended: 6 failed before the interval, 4.9 were expected",
    "known_through_on": None,
    "fitted_at": "2026-11-29T05:00:00Z",
}
STEP = {"age": 128.0, "survival": 0.99, "low": 0.931, "high": 0.9986}
OUTLOOK: dict[str, Any] = {
    "fleet": "FD001",
    "unit": "34",
    "airframe": None,
    "icao24": None,
    "cycle": 203,
    "observed_on": None,
    "remaining_life_cycles": 8.4,
    "remaining_life_low_cycles": 4.0,
    "remaining_life_high_cycles": 17.0,
    "limit_cycles": 17.0,
    "is_at_limit": True,
    "within_cycles": 30,
    "failure_probability": 0.99,
    "probability_model": "gradient boosting",
    "why_null": None,
    "computed_at": "2026-11-29T05:00:00Z",
}
DECISION: dict[str, Any] = {
    "decided_at": "2026-11-29T05:00:00Z",
    "question": "interval",
    "scope": "part",
    "component": "2315M20-3",
    "measure": "hours",
    "model": "weibull",
    "is_recommended": False,
    "value": None,
    "summary": "not recommended: not enough: 4 failures (10 are needed)",
    "fingerprint": "5f1d7a84e1f0aa0c6f4bdf2f8b0d8f63",
}


@router.get("/lives", response_model=Rows[ComponentLife], responses=listed(LIFE))
async def lives(
    request: Request,
    *,
    asked: Paged,
    scope: AScope = None,
    component: Component = None,
    measure: AMeasure = None,
    recommended: Annotated[
        bool | None,
        Query(description="Only components with an interval, or only components without."),
    ] = None,
) -> Response:
    """Component lives, and the recommended intervals."""
    return await page(
        request,
        ComponentLife,
        SQL("ml.component_lives"),
        Key("fitted_at", ("scope", "component", "measure")),
        asked=asked,
        filters={
            **equal(scope=scope, component=component, measure=measure),
            "recommended": Filter(
                SQL("(recommended_interval is not null) = %(recommended)s"), recommended
            ),
        },
    )


@router.get("/lives/curve", response_model=Rows[Step], responses=listed(STEP))
async def curve(
    request: Request,
    *,
    scope: Annotated[Scope, Query(description="Kind of component.")],
    component: Annotated[str, Query(pattern=NAME, description="Its name.", examples=["FD001"])],
    measure: Annotated[Measure, Query(description="Unit of its life.")],
    format: Form = None,
) -> Response:
    """Share of a component's units that reach each age, by Kaplan-Meier."""
    asked = {"scope": scope, "component": component, "measure": measure}
    found = await request.app.state.service.database.rows(
        SQL(
            "select survival from ml.component_lives where scope = %(scope)s"
            " and component = %(component)s and measure = %(measure)s"
        ),
        asked,
    )
    if not found:
        raise Problem(404, f"Nothing is known about the {scope} {component!r} in {measure}.")
    columns = list(Step.model_fields)
    steps = [dict(zip(columns, step, strict=True)) for step in found[0]["survival"]]
    return answer(request, columns, steps, format)


@router.get("/outlook", response_model=Rows[Outlook], responses=listed(OUTLOOK))
async def outlook(
    request: Request,
    *,
    asked: Paged,
    fleet: AFleet = None,
    unit: Annotated[str | None, Query(pattern=NAME, description="Its name.")] = None,
    at_limit: Annotated[
        bool | None,
        Query(description="Only units that have reached the limit, or only units that have not."),
    ] = None,
) -> Response:
    """Predicted remaining life of each unit with sensor readings."""
    return await page(
        request,
        Outlook,
        SQL("ml.failure_outlook"),
        Key("computed_at", ("fleet", "unit")),
        asked=asked,
        filters=equal(fleet=fleet, unit=unit, is_at_limit=at_limit),
    )


@router.get("/decisions", response_model=Rows[ReliabilityDecision], responses=listed(DECISION))
async def decisions(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    question: AQuestion = None,
    scope: AScope = None,
    component: Component = None,
) -> Response:
    """Decisions on intervals and models, by time."""
    return await page(
        request,
        ReliabilityDecision,
        SQL("audit.reliability_decisions"),
        Key("decided_at", ("question", "scope", "component", "measure", "model", "fingerprint")),
        asked=asked,
        filters={
            **within("decided_at", since, until),
            **equal(question=question, scope=scope, component=component),
        },
    )
