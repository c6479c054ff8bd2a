"""Additional ASMA time by the method of a fixed year: days, months and their references."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.serving import rows
from skyops_assets.serving.pages import Key, equal, page
from skyops_assets.serving.reads import AnAirport, From, Paged, To, listed, lists, upper, within

router = lists("/asma/fixed")

By = Annotated[Literal["day", "month"], Query(description="Length of a row's period, in UTC.")]
Source = Annotated[Literal["positions", "history"] | None, Query(description="Whose arrivals.")]
FIGURES = {
    "day": SQL("(select *, day as period_on from metrics.asma_fixed_daily) as listed"),
    "month": SQL("(select *, month as period_on from metrics.asma_fixed_monthly) as listed"),
}
REFERENCES = SQL("""(
    select *, make_date(reference_year, 1, 1) as year_on from metrics.asma_fixed_references
) as listed""")


class AsmaFixed(BaseModel):
    """Additional time of an airport's day or month (UTC) from 40 NM; minutes are a flight's."""

    period_on: date = Field(description="The day, or the first day of the month.")
    airport: str
    source: str = Field(description="`positions` or `history`, which are never mixed.")
    method: str
    arrival_count: int
    counted_count: int = Field(description="Without helicopters and transits over 120 minutes.")
    with_reference_count: int
    reference_share: float | None = Field(description="Share of the counted arrivals.")
    class_reference_share: float | None = Field(
        description="Share of the counted arrivals measured against their own aircraft class."
    )
    transit_min: float | None
    unimpeded_min: float | None
    additional_min: float | None
    reason: str | None = Field(description="Why there are no figures.")
    reference_year: int | None
    reference_basis: str | None = Field(
        description="Days of the reference year that the references rest on."
    )


class AsmaFixedReference(BaseModel):
    """The 20th percentile of an airport's arrivals of one class, runway and entry sector."""

    year_on: date = Field(description="First day of the reference year.")
    airport: str
    source: str
    aircraft_class: str = Field(description="H, MJ, MT, LJ, LT, LP, or `all` classes together.")
    runway: str
    sector: str = Field(description="Bearings such as 050-115, or an octant.")
    arrival_count: int
    percentile_min: float | None
    reason: str | None
    basis: str


_METHOD = "ICAO GANP KPI08, 20th percentile of a fixed year"
_BASIS = "62 of 365 days of 2019, 2019-03-01 to 2019-05-31"
FIXED_EXAMPLE: dict[str, Any] = {
    "period_on": "2019-05-03",
    "airport": "LSZH",
    "source": "history",
    "method": _METHOD,
    "arrival_count": 351,
    "counted_count": 351,
    "with_reference_count": 348,
    "reference_share": 0.991,
    "class_reference_share": 0.0,
    "transit_min": 16.1,
    "unimpeded_min": 12.9,
    "additional_min": 3.2,
    "reason": None,
    "reference_year": 2019,
    "reference_basis": _BASIS,
}
REFERENCE_EXAMPLE: dict[str, Any] = {
    "year_on": "2019-01-01",
    "airport": "LSZH",
    "source": "history",
    "aircraft_class": "all",
    "runway": "14",
    "sector": "050-115",
    "arrival_count": 2514,
    "percentile_min": 13.9,
    "reason": None,
    "basis": _BASIS,
}


@router.get("", response_model=rows.Rows[AsmaFixed], responses=listed(FIXED_EXAMPLE))
async def asma_fixed(
    request: Request,
    *,
    asked: Paged,
    by: By = "day",
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    source: Source = None,
) -> Response:
    """Additional ASMA time against the 20th percentile of a fixed year, as EUROCONTROL publishes
    it."""
    return await page(
        request,
        AsmaFixed,
        FIGURES[by],
        Key("period_on", ("airport", "source")),
        asked=asked,
        filters={
            **within("period_on", since, until),
            **equal(airport=upper(airport), source=source),
        },
    )


@router.get(
    "/references",
    response_model=rows.Rows[AsmaFixedReference],
    responses=listed(REFERENCE_EXAMPLE),
)
async def asma_fixed_references(
    request: Request, *, asked: Paged, airport: AnAirport = None, source: Source = None
) -> Response:
    """References of the fixed-year method, with the number of arrivals behind each."""
    return await page(
        request,
        AsmaFixedReference,
        REFERENCES,
        Key("year_on", ("airport", "source", "runway", "sector", "aircraft_class")),
        asked=asked,
        filters=equal(airport=upper(airport), source=source),
    )
