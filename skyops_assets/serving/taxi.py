"""Lists of ways on the ground: taxi times, turnarounds, and their days and months."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.serving import rows
from skyops_assets.serving.examples import TAXI_PERIOD, TAXI_TIME, TURNAROUND
from skyops_assets.serving.pages import Key, equal, page
from skyops_assets.serving.reads import (
    Address,
    Airline,
    AnAirport,
    From,
    Paged,
    To,
    Type,
    listed,
    lists,
    upper,
    within,
)

router = lists()


class TaxiTime(BaseModel):
    """The way on the ground to a take-off or from a landing."""

    movement_id: str
    icao24: str
    flight_id: str
    airline: str | None
    typecode: str | None
    airport: str
    direction: str = Field(description="`taxi_out` or `taxi_in`.")
    moved_at: datetime = Field(description="Time of landing or lift-off.")
    runway: str | None
    runway_at: datetime | None = Field(description="Time of entering or leaving the runway.")
    stand_at: datetime | None = Field(description="Time of leaving or reaching the stand.")
    taxi_min: float | None
    taxi_reason: str | None = Field(description="Why there is no taxi time.")
    reference_min: float | None = Field(description="Unimpeded taxi time: the 20th percentile.")
    reference_basis: str | None = Field(description="`runway` or `airport`.")
    additional_min: float | None
    additional_reason: str | None
    occupancy_s: float | None = Field(description="Runway occupancy time.")
    occupancy_reason: str | None


class TaxiPeriod(BaseModel):
    """The day or month of an airport's ways on the ground (UTC)."""

    airport: str
    direction: str
    period_on: date
    movement_count: int
    told_count: int
    told_share: float = Field(description="Share of the movements with a known taxi time.")
    mean_taxi_min: float | None
    p90_taxi_min: float | None
    with_reference_count: int
    mean_reference_min: float | None
    mean_additional_min: float | None
    p90_additional_min: float | None
    occupancy_count: int
    occupancy_share: float
    mean_occupancy_s: float | None
    p90_occupancy_s: float | None


class Turnaround(BaseModel):
    """From a landing to the airframe's next take-off from the same field."""

    arrival_movement_id: str
    departure_movement_id: str
    icao24: str
    airline: str | None
    typecode: str | None
    airport: str
    landed_at: datetime
    reached_stand_at: datetime | None
    left_stand_at: datetime | None
    took_off_at: datetime
    stand_min: float | None
    stand_reason: str | None = Field(description="Why there are no minutes at the stand.")


Direction = Annotated[
    Literal["taxi_out", "taxi_in"] | None, Query(description="To a take-off, or from a landing.")
]
Runway = Annotated[
    str | None, Query(pattern="^[0-3][0-9][LRCWlrcw]?$", description="Runway end, such as 26L.")
]
PERIODS = {
    "day": SQL("(select *, day as period_on from metrics.taxi_daily) as listed"),
    "month": SQL("(select *, month as period_on from metrics.taxi_monthly) as listed"),
}


@router.get("/taxi", response_model=rows.Rows[TaxiTime], responses=listed(TAXI_TIME))
async def taxi_times(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    direction: Direction = None,
    runway: Runway = None,
    icao24: Address = None,
    airline: Airline = None,
    typecode: Type = None,
) -> Response:
    """Taxi times of landings and take-offs, by time of the movement."""
    return await page(
        request,
        TaxiTime,
        SQL("metrics.fct_taxi_times"),
        Key("moved_at", ("movement_id",)),
        asked=asked,
        filters={
            **within("moved_at", since, until),
            **equal(
                airport=upper(airport),
                direction=direction,
                runway=upper(runway),
                icao24=icao24 and icao24.lower(),
                airline=upper(airline),
                typecode=upper(typecode),
            ),
        },
    )


@router.get("/taxi/periods", response_model=rows.Rows[TaxiPeriod], responses=listed(TAXI_PERIOD))
async def taxi_periods(
    request: Request,
    *,
    asked: Paged,
    by: Annotated[
        Literal["day", "month"], Query(description="Length of a row's period, in UTC.")
    ] = "day",
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    direction: Direction = None,
) -> Response:
    """Taxi time, additional time and runway occupancy by airport and day or month."""
    return await page(
        request,
        TaxiPeriod,
        PERIODS[by],
        Key("period_on", ("airport", "direction")),
        asked=asked,
        filters={
            **within("period_on", since, until),
            **equal(airport=upper(airport), direction=direction),
        },
    )


@router.get("/turnarounds", response_model=rows.Rows[Turnaround], responses=listed(TURNAROUND))
async def turnarounds(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    icao24: Address = None,
    airline: Airline = None,
    typecode: Type = None,
) -> Response:
    """Turnarounds (landing, stand and next take-off), by landing time."""
    return await page(
        request,
        Turnaround,
        SQL("metrics.turnarounds"),
        Key("landed_at", ("arrival_movement_id",)),
        asked=asked,
        filters={
            **within("landed_at", since, until),
            **equal(
                airport=upper(airport),
                icao24=icao24 and icao24.lower(),
                airline=upper(airline),
                typecode=upper(typecode),
            ),
        },
    )
