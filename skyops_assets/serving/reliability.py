"""Lists of reliability, of maintenance that is due, and of punctuality."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL

from skyops_assets.serving import rows
from skyops_assets.serving.examples import (
    COMPONENT_WEEK,
    DISPATCH_MONTH,
    MAINTENANCE_DUE,
    PUNCTUALITY_DAY,
)
from skyops_assets.serving.pages import Key, equal, page
from skyops_assets.serving.reads import (
    Address,
    Airline,
    AnAirport,
    From,
    Paged,
    To,
    listed,
    lists,
    upper,
    within,
)

router = lists()

Fleet = Annotated[
    str | None,
    Query(
        max_length=40,
        pattern=r"^[^\x00]+$",
        description="ICAO type designator, or the model in reports; complete.",
    ),
]
# Rows without a forecast come after all others.
DUE = SQL(
    "(select *, coalesce(forecast_on, date '9999-12-31') as sorted_on from metrics.maintenance_due)"
    " as listed"
)


@router.get(
    "/reliability",
    response_model=rows.Rows[rows.ComponentWeek],
    responses=listed(COMPONENT_WEEK),
)
async def components(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    fleet: Fleet = None,
    ata_chapter: Annotated[
        str | None, Query(pattern="^([0-9]{2}|unknown)$", description="Two digits, such as 32.")
    ] = None,
    part_number: Annotated[
        str | None,
        Query(
            max_length=60,
            pattern=r"^[^\x00]*$",
            description="Complete part number; empty: only rows for whole chapters.",
        ),
    ] = None,
    alert_level: Annotated[
        Literal["alert", "above_3_sd", "above_2_sd", "normal"] | None, Query()
    ] = None,
    is_current: Annotated[
        bool | None, Query(description="`true`: only the latest week with levels of each series.")
    ] = None,
) -> Response:
    """Removals, failures, rates and alerts of each ATA chapter and part, by week."""
    return await page(
        request,
        rows.ComponentWeek,
        SQL("metrics.component_reliability_weekly"),
        Key("week_on", ("fleet", "ata_chapter", "part_number")),
        asked=asked,
        filters={
            **within("week_on", since, until),
            **equal(
                fleet=fleet,
                ata_chapter=ata_chapter,
                part_number=part_number,
                alert_level=alert_level,
                is_current=is_current,
            ),
        },
    )


@router.get(
    "/reliability/dispatch",
    response_model=rows.Rows[rows.DispatchMonth],
    responses=listed(DISPATCH_MONTH),
)
async def dispatch(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    airline: Airline = None,
    fleet: Fleet = None,
) -> Response:
    """Dispatch reliability by month: departures neither late nor cancelled for a technical
    reason."""
    return await page(
        request,
        rows.DispatchMonth,
        SQL("metrics.dispatch_reliability_monthly"),
        Key("month_on", ("airline", "fleet")),
        asked=asked,
        filters={
            **within("month_on", since, until),
            **equal(airline=upper(airline), fleet=fleet),
        },
    )


@router.get(
    "/maintenance/due",
    response_model=rows.Rows[rows.MaintenanceDue],
    responses=listed(MAINTENANCE_DUE),
)
async def maintenance_due(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    airframe: Annotated[
        str | None,
        Query(
            pattern="^[A-Za-z0-9-]{2,10}$",
            description="Complete registration, with or without hyphen.",
        ),
    ] = None,
    icao24: Address = None,
    fleet: Fleet = None,
    task: Annotated[
        str | None, Query(max_length=100, pattern=r"^[^\x00]+$", description="Whole.")
    ] = None,
    due_status: Annotated[Literal["overdue", "open", "unknown", "done"] | None, Query()] = None,
) -> Response:
    """Tasks and bulletins of each airframe, by due date; `order=oldest` starts with the soonest."""
    return await page(
        request,
        rows.MaintenanceDue,
        DUE,
        Key("sorted_on", ("airframe", "task")),
        asked=asked,
        filters={
            **within("forecast_on", since, until),
            **equal(
                airframe=airframe and airframe.replace("-", "").upper(),
                icao24=icao24 and icao24.lower(),
                fleet=fleet,
                task=task,
                due_status=due_status,
            ),
        },
    )


@router.get(
    "/punctuality",
    response_model=rows.Rows[rows.PunctualityDay],
    responses=listed(PUNCTUALITY_DAY),
)
async def punctuality(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    airline: Airline = None,
) -> Response:
    """Punctuality of each airline's scheduled arrivals, by airport and local day."""
    return await page(
        request,
        rows.PunctualityDay,
        SQL("metrics.punctuality_daily"),
        Key("arrives_on", ("airport", "airline")),
        asked=asked,
        filters={
            **within("arrives_on", since, until),
            **equal(airport=upper(airport), airline=upper(airline)),
        },
    )
