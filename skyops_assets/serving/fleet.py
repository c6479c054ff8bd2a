"""Lists of what airframes and types of aircraft flew, and how well the feed heard it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL

from skyops_assets.serving import rows
from skyops_assets.serving.examples import FEED_WEEK, FLEET_AIRFRAME, FLEET_TYPE
from skyops_assets.serving.pages import Filter, Key, equal, page
from skyops_assets.serving.reads import (
    Address,
    Airline,
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

By = Annotated[Literal["day", "month"], Query(description="Length of a row's period, in UTC.")]
AIRFRAMES = {
    "day": SQL("(select *, flown_on as period_on from metrics.fleet_daily) as listed"),
    "month": SQL("(select *, month_on as period_on from metrics.fleet_monthly) as listed"),
}
TYPES = {
    "day": SQL("(select *, flown_on as period_on from metrics.fleet_types_daily) as listed"),
    "month": SQL("(select *, month_on as period_on from metrics.fleet_types_monthly) as listed"),
}


@router.get(
    "/fleet", response_model=rows.Rows[rows.FleetAirframe], responses=listed(FLEET_AIRFRAME)
)
async def airframes(
    request: Request,
    *,
    asked: Paged,
    by: By = "day",
    since: From = None,
    until: To = None,
    icao24: Address = None,
    registration: Annotated[
        str | None,
        Query(
            pattern="^[A-Za-z0-9-]{2,10}$",
            description="Complete registration, with or without hyphen.",
        ),
    ] = None,
    airline: Airline = None,
    typecode: Type = None,
) -> Response:
    """Flights, hours and cruise by airframe, with the share of the time heard."""
    return await page(
        request,
        rows.FleetAirframe,
        AIRFRAMES[by],
        Key("period_on", ("icao24",)),
        asked=asked,
        filters={
            **within("period_on", since, until),
            **equal(
                icao24=icao24 and icao24.lower(),
                airline=upper(airline),
                typecode=upper(typecode),
            ),
            "registration": Filter(
                SQL("replace(registration, '-', '') = replace(%(registration)s, '-', '')"),
                upper(registration),
            ),
        },
    )


@router.get("/fleet/types", response_model=rows.Rows[rows.FleetType], responses=listed(FLEET_TYPE))
async def types(
    request: Request,
    *,
    asked: Paged,
    by: By = "day",
    since: From = None,
    until: To = None,
    typecode: Type = None,
) -> Response:
    """Flights, hours and cruise by aircraft type, with the share of the time heard."""
    return await page(
        request,
        rows.FleetType,
        TYPES[by],
        Key("period_on", ("typecode",)),
        asked=asked,
        filters={
            **within("period_on", since, until),
            **equal(typecode=upper(typecode)),
        },
    )


@router.get(
    "/feed/reliability", response_model=rows.Rows[rows.FeedWeek], responses=listed(FEED_WEEK)
)
async def feed_reliability(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    area: Annotated[
        str | None,
        Query(
            pattern="^([A-Za-z]{4}|[NSns][0-9]{2}[EWew][0-9]{3})$",
            description="A watched airport, or a one-degree cell such as N48E002.",
        ),
    ] = None,
) -> Response:
    """Coverage of the feed by area and week (from Monday)."""
    return await page(
        request,
        rows.FeedWeek,
        SQL("metrics.feed_reliability_weekly"),
        Key("week_on", ("area",)),
        asked=asked,
        filters={
            **within("week_on", since, until),
            **equal(area=upper(area)),
        },
    )
