"""Sums over a period, of what was flown and of how punctual it was.

Belongs here: what would take many pages of the lists to add up. Does not: the lists themselves
(`fleet`, `reliability`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from psycopg.sql import SQL, Composed
from pydantic import BaseModel, Field

from skyops_assets.serving.pages import MOST_ROWS, Filter, answer, equal
from skyops_assets.serving.reads import (
    Address,
    Airline,
    AnAirport,
    Form,
    From,
    To,
    Type,
    listed,
    lists,
    upper,
    within,
)
from skyops_assets.serving.rows import Rows

router = lists()
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Maximum number of rows.")]
Registration = Annotated[
    str | None,
    Query(
        pattern="^[A-Za-z0-9-]{2,10}$", description="Complete registration, with or without hyphen."
    ),
]


class FlownTotal(BaseModel):
    """What was flown in the period by an airframe, type or airline, or by all in a day or month."""

    name: str = Field(
        description="Address, type designator, airline, or first day; `unknown` if an airframe's "
        "type or airline is not known."
    )
    registration: str | None = Field(description="Only for an airframe, like the next two.")
    typecode: str | None
    airline: str | None
    airframe_count: int
    airframe_day_count: int = Field(description="Days on which an airframe flew.")
    flight_count: int = Field(description="Flights that left the ground: the cycles.")
    airborne_h: float = Field(
        description="Known hours in the air; a lower bound if coverage is below 1."
    )
    heard_h: float
    perhaps_airborne_h: float = Field(
        description="Hours in the air or possibly in the air unheard."
    )
    coverage_share: float | None = Field(
        description="heard_h divided by perhaps_airborne_h, over days; silences between days do "
        "not count."
    )
    day_airborne_h: float = Field(description="Hours in the air per day flown.")


class PunctualityTotal(BaseModel):
    """How punctual the scheduled arrivals of an airline, an airport, a day or a month were."""

    name: str
    scheduled_count: int
    landed_count: int
    cancelled_count: int
    not_seen_count: int = Field(description="Neither on time nor late.")
    on_time_count: int
    on_time_share: float | None
    mean_arrival_delay_min: float | None
    extreme_delay_count: int


FLOWN: dict[str, Any] = {
    "name": "3944ee",
    "registration": "F-GKXO",
    "typecode": "A320",
    "airline": "AFR",
    "airframe_count": 1,
    "airframe_day_count": 28,
    "flight_count": 141,
    "airborne_h": 213.4,
    "heard_h": 211.0,
    "perhaps_airborne_h": 219.9,
    "coverage_share": 0.9595,
    "day_airborne_h": 7.62,
}
PUNCTUAL: dict[str, Any] = {
    "name": "AFR",
    "scheduled_count": 6120,
    "landed_count": 6011,
    "cancelled_count": 41,
    "not_seen_count": 68,
    "on_time_count": 5012,
    "on_time_share": 0.8338,
    "mean_arrival_delay_min": 5.1,
    "extreme_delay_count": 97,
}
_NO_AIRFRAME = SQL("null::text, null::text, null::text")
_FLOWN_OF = {
    "airframe": (SQL("icao24"), SQL("max(registration), max(typecode), max(airline)")),
    "type": (SQL("coalesce(typecode, 'unknown')"), _NO_AIRFRAME),
    "airline": (SQL("coalesce(airline, 'unknown')"), _NO_AIRFRAME),
    "day": (SQL("flown_on::text"), _NO_AIRFRAME),
    "month": (SQL("date_trunc('month', flown_on)::date::text"), _NO_AIRFRAME),
}
_PUNCTUAL_OF = {
    "airline": SQL("airline"),
    "airport": SQL("airport"),
    "day": SQL("arrives_on::text"),
    "month": SQL("date_trunc('month', arrives_on)::date::text"),
}
_BY_TIME = ("day", "month")


@router.get("/fleet/totals", response_model=Rows[FlownTotal], responses=listed(FLOWN))
async def flown(
    request: Request,
    *,
    of: Annotated[
        Literal["airframe", "type", "airline", "day", "month"],
        Query(description="Grouping of the rows; days and months in UTC."),
    ] = "airframe",
    limit: Limit = MOST_ROWS,
    format: Form = None,
    since: From = None,
    until: To = None,
    icao24: Address = None,
    registration: Registration = None,
    airline: Airline = None,
    typecode: Type = None,
) -> Response:
    """Flights and hours in a period: most hours first; days and months newest first."""
    name, airframe = _FLOWN_OF[of]
    query = SQL("""
        select {}, {}, count(distinct icao24), count(*), sum(flight_count)::bigint, sum(airborne_h),
            sum(heard_h), sum(perhaps_airborne_h),
            sum(heard_h) / nullif(sum(perhaps_airborne_h), 0), sum(airborne_h) / count(*)
        from metrics.fleet_daily""").format(name, airframe)
    return await _summed(
        request,
        FlownTotal,
        query,
        SQL("1 desc" if of in _BY_TIME else "8 desc, 1"),
        {
            **within("flown_on", since, until),
            **equal(
                icao24=icao24 and icao24.lower(), airline=upper(airline), typecode=upper(typecode)
            ),
            "registration": Filter(
                SQL("replace(registration, '-', '') = replace(%(registration)s, '-', '')"),
                upper(registration),
            ),
        },
        limit=limit,
        form=format,
    )


@router.get(
    "/punctuality/totals", response_model=Rows[PunctualityTotal], responses=listed(PUNCTUAL)
)
async def punctual(
    request: Request,
    *,
    of: Annotated[
        Literal["airline", "airport", "day", "month"],
        Query(description="Grouping of the rows; days are the airport's local days."),
    ] = "airline",
    limit: Limit = MOST_ROWS,
    format: Form = None,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    airline: Airline = None,
) -> Response:
    """Punctuality in a period: most arrivals first; days and months newest first."""
    query = SQL("""
        select {}, sum(scheduled_count)::bigint, sum(landed_count)::bigint,
            sum(cancelled_count)::bigint, sum(not_seen_count)::bigint, sum(on_time_count)::bigint,
            sum(on_time_count)::double precision / nullif(sum(landed_count), 0),
            (sum(mean_arrival_delay_min * landed_count) / nullif(sum(landed_count), 0))
                ::double precision,
            sum(extreme_delay_count)::bigint
        from metrics.punctuality_daily""").format(_PUNCTUAL_OF[of])
    return await _summed(
        request,
        PunctualityTotal,
        query,
        SQL("1 desc" if of in _BY_TIME else "2 desc, 1"),
        {
            **within("arrives_on", since, until),
            **equal(airport=upper(airport), airline=upper(airline)),
        },
        limit=limit,
        form=format,
    )


async def _summed(
    request: Request,
    row: type[BaseModel],
    query: Composed,
    order: SQL,
    filters: Mapping[str, Filter],
    *,
    limit: int,
    form: Literal["json", "csv"] | None,
) -> Response:
    """The first rows of sums by the query's first column.

    Args:
        query: its columns in the order of the row's fields, up to where its conditions begin.
    """
    asked = {name: one for name, one in filters.items() if one.value is not None}
    columns = list(row.model_fields)
    found = await request.app.state.service.database.rows(
        SQL("select * from ({} where {} group by 1 order by {} limit {}) as summed ({})").format(
            query,
            SQL(" and ").join([SQL("true"), *(one.condition for one in asked.values())]),
            order,
            limit,
            SQL(", ").join(map(SQL, columns)),
        ),
        {name: one.value for name, one in asked.items()},
    )
    return answer(request, columns, found, form)
