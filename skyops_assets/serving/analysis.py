"""What the analysis page draws of the sky and of airports: small sums, counted by Postgres."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from psycopg.sql import Composable
from pydantic import BaseModel, Field

from skyops_assets.serving import analysis_queries as queries
from skyops_assets.serving.pages import Moment, answer, utc
from skyops_assets.serving.reads import (
    Airline,
    AnAirport,
    Form,
    From,
    To,
    Type,
    listed,
    lists,
    upper,
)
from skyops_assets.serving.rows import Rows

MOST_HOURS = 24
"""Positions are looked at for a day at most: an answer has ten seconds."""
MOST_ROWS = 5000

router = lists("/analysis")


class AltitudeBin(BaseModel):
    """Aircraft in the air by height above the sea, in steps of 1,000 ft."""

    from_altitude_m: float
    to_altitude_m: float
    minute_count: int = Field(description="Aircraft times minutes.")
    density_share: float = Field(description="Share of the minutes by the smoothed curve.")


class PhaseShare(BaseModel):
    """How much of the time aircraft were in a phase of flight."""

    phase: str
    minute_count: int = Field(description="Aircraft times minutes.")
    share: float


class CountrySpeed(BaseModel):
    """Speed over ground of aircraft in the air, by State of registration."""

    country: str
    aircraft_count: int
    minute_count: int = Field(description="Aircraft times minutes with a speed.")
    mean_ground_speed_mps: float
    max_ground_speed_mps: float


class Correlation(BaseModel):
    """Pearson's correlation of two features of aircraft in the air; null where one is constant."""

    feature: str
    other_feature: str
    correlation: float | None


class Traffic(BaseModel):
    """Aircraft that were heard in a step of time."""

    from_at: datetime
    aircraft_count: int
    on_ground_count: int
    mean_altitude_m: float | None = Field(description="Mean over aircraft in the air.")


class RunwayUse(BaseModel):
    """Movements of a runway in a step of time."""

    from_at: datetime
    airport: str
    runway: str = Field(description="`unknown` if it is not known.")
    landing_count: int = Field(description="Touch-and-goes too.")
    takeoff_count: int


class RunwayChange(BaseModel):
    """The direction of landings has changed."""

    changed_at: datetime
    airport: str
    from_direction: str
    to_direction: str
    landings_before_count: int
    landings_after_count: int


class AsmaMonth(BaseModel):
    """Additional time from the ring to the runway, in a UTC month."""

    month: date
    source: str
    airport: str
    ring_nm: int
    counted_count: int = Field(description="Arrivals that no rule excludes.")
    with_reference_count: int
    mean_transit_min: float | None
    mean_reference_min: float | None
    mean_additional_min: float | None
    p90_additional_min: float | None


class Holdings(BaseModel):
    """Holdings that began in a step of time."""

    from_at: datetime
    airport: str
    holding_count: int
    flight_count: int
    mean_duration_min: float
    turn_count: int


class GoArounds(BaseModel):
    """Go-arounds beside landings in a step of time."""

    from_at: datetime
    airport: str
    go_around_count: int
    landing_count: int = Field(description="Touch-and-goes too.")


class Choice(BaseModel):
    """A value that a filter can take."""

    filter: Literal["airport", "runway", "airline", "typecode"]
    value: str
    movement_count: int


Runway = Annotated[
    str | None,
    Query(pattern="^[0-9]{2}[LCRlcr]?$", description="A runway's end, such as 26L."),
]
By = Annotated[Literal["hour", "day", "month"], Query(description="Steps of time, in UTC.")]
Chosen = dict[str, Any]


def _chosen(
    airport: AnAirport = None, runway: Runway = None, airline: Airline = None, typecode: Type = None
) -> Chosen:
    """Whose rows are counted."""
    given = {
        "airport": upper(airport),
        "runway": upper(runway),
        "airline": upper(airline),
        "typecode": upper(typecode),
    }
    return {**given, "is_chosen": any(given.values()), "most": MOST_ROWS}


def _sky(
    since: Annotated[Moment, Query(alias="from", description="Start of the time range.")],
    hours: Annotated[int, Query(ge=1, le=MOST_HOURS, description="Length of the time range.")] = 1,
) -> Chosen:
    """Which hours are looked at."""
    begin = utc(since)
    try:
        return {"since": begin, "until": begin + timedelta(hours=hours)}
    except OverflowError:
        return {"since": begin, "until": begin}


def _period(since: From = None, until: To = None) -> Chosen:
    """From when to when."""
    return {"since": since and utc(since), "until": until and utc(until)}


Of = Annotated[Chosen, Depends(_chosen)]
Sky = Annotated[Chosen, Depends(_sky)]
Period = Annotated[Chosen, Depends(_period)]


async def counted(
    request: Request, row: type[BaseModel], query: Composable, values: Chosen, form: str | None
) -> Response:
    """All rows of a query, as JSON or CSV."""
    found = await request.app.state.service.database.rows(query, values)
    return answer(request, list(row.model_fields), found, form)


@router.get("/altitudes", response_model=Rows[AltitudeBin], responses=listed({
    "from_altitude_m": 10668.0, "to_altitude_m": 10972.8, "minute_count": 812,
    "density_share": 0.061,
}))  # fmt: skip
async def altitudes(request: Request, of: Of, sky: Sky, format: Form = None) -> Response:
    """Altitudes of aircraft in the air, minute by minute, with a smoothed density."""
    return await counted(request, AltitudeBin, queries.ALTITUDES, of | sky, format)


@router.get("/phases", response_model=Rows[PhaseShare], responses=listed({
    "phase": "CRUISE", "minute_count": 5120, "share": 0.41,
}))  # fmt: skip
async def phases(request: Request, of: Of, sky: Sky, format: Form = None) -> Response:
    """Minutes in which aircraft were heard, by phase of flight."""
    return await counted(request, PhaseShare, queries.PHASES, of | sky, format)


@router.get("/countries", response_model=Rows[CountrySpeed], responses=listed({
    "country": "France", "aircraft_count": 84, "minute_count": 3120,
    "mean_ground_speed_mps": 151.2, "max_ground_speed_mps": 271.6,
}))  # fmt: skip
async def countries(request: Request, of: Of, sky: Sky, format: Form = None) -> Response:
    """Ground speeds of aircraft in the air, by State of registration."""
    return await counted(request, CountrySpeed, queries.COUNTRIES, of | sky, format)


@router.get("/correlations", response_model=Rows[Correlation], responses=listed({
    "feature": "altitude", "other_feature": "speed", "correlation": 0.91,
}))  # fmt: skip
async def correlations(request: Request, of: Of, sky: Sky, format: Form = None) -> Response:
    """Correlations between altitude, speed, climb and position of aircraft in the air."""
    return await counted(request, Correlation, queries.CORRELATIONS, of | sky, format)


@router.get("/traffic", response_model=Rows[Traffic], responses=listed({
    "from_at": "2021-10-07T14:00:00Z", "aircraft_count": 143, "on_ground_count": 12,
    "mean_altitude_m": 5120.4,
}))  # fmt: skip
async def traffic(
    request: Request,
    of: Of,
    sky: Sky,
    every_min: Annotated[int, Query(ge=1, le=60, description="Length of a step, in minutes.")] = 5,
    format: Form = None,
) -> Response:
    """Number of aircraft heard, by time step."""
    values = of | sky | {"every": timedelta(minutes=every_min)}
    return await counted(request, Traffic, queries.TRAFFIC, values, format)


@router.get("/runways", response_model=Rows[RunwayUse], responses=listed({
    "from_at": "2021-10-07T14:00:00Z", "airport": "LFPG", "runway": "08R", "landing_count": 17,
    "takeoff_count": 0,
}))  # fmt: skip
async def runways(
    request: Request, of: Of, period: Period, by: By = "hour", format: Form = None
) -> Response:
    """Landings and take-offs by runway."""
    return await counted(request, RunwayUse, queries.RUNWAYS, of | period | {"by": by}, format)


@router.get("/runway-changes", response_model=Rows[RunwayChange], responses=listed({
    "changed_at": "2021-10-07T15:12:40Z", "airport": "LFPO", "from_direction": "06",
    "to_direction": "24", "landings_before_count": 31, "landings_after_count": 9,
}))  # fmt: skip
async def runway_changes(
    request: Request, period: Period, airport: AnAirport = None, format: Form = None
) -> Response:
    """Changes of the landing direction, by time."""
    values = period | {"airport": upper(airport), "most": MOST_ROWS}
    return await counted(request, RunwayChange, queries.CHANGES, values, format)


@router.get("/asma", response_model=Rows[AsmaMonth], responses=listed({
    "month": "2021-10-01", "source": "positions", "airport": "LFPO", "ring_nm": 40,
    "counted_count": 41, "with_reference_count": 38, "mean_transit_min": 12.4,
    "mean_reference_min": 11.2, "mean_additional_min": 1.1, "p90_additional_min": 3.4,
}))  # fmt: skip
async def asma(
    request: Request,
    of: Of,
    period: Period,
    ring_nm: Annotated[int, Query(ge=1, le=200, description="From this ring.")] = 40,
    format: Form = None,
) -> Response:
    """Additional ASMA time by month, against the reference of the group's last twelve months."""
    return await counted(
        request, AsmaMonth, queries.ASMA, of | period | {"ring_nm": ring_nm}, format
    )


@router.get("/holdings", response_model=Rows[Holdings], responses=listed({
    "from_at": "2021-10-07T14:00:00Z", "airport": "LFPO", "holding_count": 2, "flight_count": 2,
    "mean_duration_min": 4.6, "turn_count": 3,
}))  # fmt: skip
async def holdings(
    request: Request, of: Of, period: Period, by: By = "hour", format: Form = None
) -> Response:
    """Holdings by when they began."""
    return await counted(request, Holdings, queries.HOLDINGS, of | period | {"by": by}, format)


@router.get("/go-arounds", response_model=Rows[GoArounds], responses=listed({
    "from_at": "2021-10-07T14:00:00Z", "airport": "LFPO", "go_around_count": 1,
    "landing_count": 21,
}))  # fmt: skip
async def go_arounds(
    request: Request, of: Of, period: Period, by: By = "hour", format: Form = None
) -> Response:
    """Go-arounds, with the landings in the same time."""
    return await counted(request, GoArounds, queries.GO_AROUNDS, of | period | {"by": by}, format)


@router.get("/choices", response_model=Rows[Choice], responses=listed({
    "filter": "airline", "value": "AFR", "movement_count": 38,
}))  # fmt: skip
async def choices(request: Request, airport: AnAirport = None, format: Form = None) -> Response:
    """Values of the filters, with the most movements first; for one airport, if it is given."""
    return await counted(request, Choice, queries.CHOICES, {"airport": upper(airport)}, format)
