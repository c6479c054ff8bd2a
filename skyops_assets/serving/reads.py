"""Lists of what is known: live aircraft and boards, flights, movements, anomalies, airports.

Also what lists of other modules are asked with and say of themselves.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from psycopg.sql import SQL, Identifier
from pydantic import BaseModel

from skyops_assets.serving import rows
from skyops_assets.serving.access import READ, allowed
from skyops_assets.serving.examples import (
    AIRCRAFT,
    AIRPORT_HOUR,
    ALERT,
    ANOMALY,
    ARRIVAL,
    DEMAND,
    FEED,
    FLIGHT,
    FLIGHT_ID,
    MOVEMENT,
    answered,
)
from skyops_assets.serving.pages import (
    CSV_TYPE,
    JSON_TYPE,
    Filter,
    Key,
    Moment,
    Page,
    answer,
    asked_page,
    equal,
    names,
    only_known,
    page,
    utc,
)
from skyops_assets.serving.problems import Problem, responses


def lists(prefix: str = "") -> APIRouter:
    """Routes of lists, for keys that may read."""
    return APIRouter(
        prefix=prefix,
        tags=["data"],
        dependencies=[Depends(allowed(READ)), Depends(only_known)],
        responses=responses(401, 403, 422, 429, 503),
    )


router = lists()

Paged = Annotated[Page, Depends(asked_page)]
Airport = Annotated[
    str, Path(pattern="^[A-Za-z]{4}$", description="ICAO code, such as LFPG.", examples=["LFPG"])
]
AnAirport = Annotated[
    str | None, Query(pattern="^[A-Za-z]{4}$", description="ICAO code, such as LFPG.")
]
Form = Annotated[
    Literal["json", "csv"] | None,
    Query(description="`csv` is the same as the header `Accept: text/csv`; the default is JSON."),
]
Airline = Annotated[
    str | None,
    Query(pattern="^[A-Za-z]{3}$", description="ICAO designator of the airline, such as AFR."),
]
Type = Annotated[
    str | None,
    Query(pattern="^[A-Za-z0-9]{2,4}$", description="ICAO type designator, such as A320."),
]
Address = Annotated[
    str | None,
    Query(pattern="^[0-9A-Fa-f]{6}$", description="The aircraft's 24-bit address, in hexadecimal."),
]
Callsign = Annotated[str | None, Query(pattern="^[A-Za-z0-9]{1,8}$", description="Whole.")]
From = Annotated[
    Moment | None,
    Query(alias="from", description="From this time on; UTC if no time zone is given."),
]
To = Annotated[Moment | None, Query(alias="to", description="Before this.")]

FLIGHTS = SQL("metrics.fct_flights")
# With what their flights tell of them.
MOVEMENTS = SQL("""(
    select movements.*, flights.callsign
    from metrics.fct_movements as movements
    left join metrics.fct_flights as flights
        on movements.icao24 = flights.icao24 and movements.flight_id = flights.flight_id
) as listed""")
ANOMALIES = SQL("""(
    select anomalies.*, flights.airline, flights.typecode
    from metrics.fct_anomalies as anomalies
    left join metrics.fct_flights as flights
        on anomalies.icao24 = flights.icao24 and anomalies.flight_id = flights.flight_id
) as listed""")


def listed(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the forms of a list."""
    return {
        200: {
            "description": "Rows, with the address of the next page.",
            "content": {
                JSON_TYPE: {"example": {"data": [example], "next": None}},
                CSV_TYPE.partition(";")[0]: {"schema": {"type": "string"}},
            },
            "headers": {
                "ETag": {
                    "schema": {"type": "string"},
                    "description": "Hash of the content, for `If-None-Match`.",
                },
                "Link": {"schema": {"type": "string"}, "description": "The next page, if any."},
            },
        },
        **responses(404),
        304: {"description": "Not modified: `If-None-Match` names the present content."},
    }


def upper(text: str | None) -> str | None:
    """As codes and callsigns are written."""
    return text and text.upper()


def within(column: str, since: Moment | None, until: Moment | None) -> dict[str, Filter]:
    """Conditions on a moment."""
    at = Identifier(column)
    return {
        "since": Filter(SQL("{} >= %(since)s").format(at), since and utc(since)),
        "until": Filter(SQL("{} < %(until)s").format(at), until and utc(until)),
    }


def _of_aircraft(
    airline: Airline = None,
    typecode: Type = None,
    icao24: Address = None,
    callsign: Callsign = None,
) -> dict[str, Filter]:
    """Whose rows are asked for."""
    return equal(
        icao24=icao24 and icao24.lower(),
        callsign=upper(callsign),
        airline=upper(airline),
        typecode=upper(typecode),
    )


Of = Annotated[dict[str, Filter], Depends(_of_aircraft)]


@router.get("/flights", response_model=rows.Rows[rows.Flight], responses=listed(FLIGHT))
async def flights(
    request: Request,
    *,
    asked: Paged,
    of: Of,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
) -> Response:
    """Flights, by time last heard; `airport` matches departure or arrival."""
    return await page(
        request,
        rows.Flight,
        FLIGHTS,
        Key("last_seen_at", ("flight_id",)),
        asked=asked,
        filters={
            **within("last_seen_at", since, until),
            **of,
            "airport": Filter(
                SQL("%(airport)s in (departure_airport, arrival_airport)"), upper(airport)
            ),
        },
    )


@router.get("/flights/{flight_id}", responses={**answered(FLIGHT), **responses(404)})
async def flight(
    request: Request,
    flight_id: Annotated[str, Path(pattern="^[0-9A-Za-z_.:-]{1,100}$", examples=[FLIGHT_ID])],
) -> rows.Flight:
    """One flight."""
    found = await request.app.state.service.database.rows(
        SQL("select * from {} where flight_id = %(flight_id)s").format(FLIGHTS),
        {"flight_id": flight_id},
    )
    if not found:
        raise Problem(404, f"There is no flight {flight_id!r}.")
    return rows.Flight(**found[0])


@router.get("/movements", response_model=rows.Rows[rows.Movement], responses=listed(MOVEMENT))
async def movements(
    request: Request,
    *,
    asked: Paged,
    of: Of,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    movement: Annotated[
        Literal["landing", "takeoff", "go_around", "touch_and_go"] | None, Query()
    ] = None,
) -> Response:
    """Landings, take-offs, go-arounds and touch-and-goes, by time."""
    return await page(
        request,
        rows.Movement,
        MOVEMENTS,
        Key("moved_at", ("movement_id",)),
        asked=asked,
        filters={
            **within("moved_at", since, until),
            **of,
            **equal(airport=upper(airport), movement=movement),
        },
    )


@router.get("/anomalies", response_model=rows.Rows[rows.Anomaly], responses=listed(ANOMALY))
async def anomalies(
    request: Request,
    *,
    asked: Paged,
    of: Of,
    since: From = None,
    until: To = None,
    anomaly_class: Annotated[Literal["data", "signal", "flight"] | None, Query()] = None,
) -> Response:
    """Anomalies in the data, the signal or the flight, by start time."""
    return await page(
        request,
        rows.Anomaly,
        ANOMALIES,
        Key("started_at", ("icao24", "flight_id", "anomaly")),
        asked=asked,
        filters={
            **within("started_at", since, until),
            **of,
            **equal(anomaly_class=anomaly_class),
        },
    )


@router.get(
    "/airports/{icao}/metrics",
    response_model=rows.Rows[rows.AirportHour],
    responses=listed(AIRPORT_HOUR),
)
async def airport_metrics(
    request: Request, icao: Airport, asked: Paged, since: From = None, until: To = None
) -> Response:
    """Movements and transit times of an airport, by hour."""
    airport = (await _airport(request, icao))["icao"]
    return await page(
        request,
        rows.AirportHour,
        SQL("metrics.airport_hourly"),
        Key("hour_at", ()),
        asked=asked,
        filters={
            **within("hour_at", since, until),
            **equal(airport=airport),
        },
    )


@router.get("/aircraft", response_model=rows.Rows[rows.LiveAircraft], responses=listed(AIRCRAFT))
async def aircraft(
    request: Request,
    *,
    format: Form = None,
    typecode: Type = None,
    icao24: Address = None,
    callsign: Callsign = None,
    phase: Annotated[str | None, Query(pattern="^[A-Za-z]{1,20}$")] = None,
) -> Response:
    """Aircraft heard in the last minute, from the live lane."""
    given = {
        "icao24": icao24 and icao24.lower(),
        "callsign": upper(callsign),
        "typecode": upper(typecode),
        "phase": upper(phase),
    }
    found = await request.app.state.service.database.rows(
        SQL(
            "select {} from live.aircraft where (%(icao24)s::text is null or icao24 = %(icao24)s)"
            " and (%(callsign)s::text is null or callsign = %(callsign)s)"
            " and (%(typecode)s::text is null or typecode = %(typecode)s)"
            " and (%(phase)s::text is null or phase = %(phase)s) order by icao24"
        ).format(names(rows.LiveAircraft.model_fields)),
        given,
    )
    return answer(request, list(rows.LiveAircraft.model_fields), found, format)


@router.get(
    "/arrivals/{icao}",
    response_model=rows.Board[rows.LiveArrival],
    responses=listed(ARRIVAL),
)
async def arrivals(request: Request, icao: Airport, format: Form = None) -> Response:
    """The board: aircraft inbound to a watched airport, by predicted landing."""
    return await _of_watched(
        request, icao, rows.LiveArrival, view="arrivals", order="predicted_landing_at", form=format
    )


@router.get(
    "/airports/{icao}/demand",
    response_model=rows.Board[rows.Demand],
    responses=listed(DEMAND),
)
async def demand(request: Request, icao: Airport, format: Form = None) -> Response:
    """Landings expected at a watched airport in each quarter of the next hour."""
    return await _of_watched(
        request, icao, rows.Demand, view="demand", order="from_at", form=format
    )


@router.get("/alerts", response_model=rows.Rows[rows.LiveAlert], responses=listed(ALERT))
async def alerts(request: Request, format: Form = None) -> Response:
    """Present alerts."""
    found = await request.app.state.service.database.rows(
        SQL("select {} from live.alerts order by started_at, icao24, alert, scope_name").format(
            names(rows.LiveAlert.model_fields)
        )
    )
    return answer(request, list(rows.LiveAlert.model_fields), found, format)


@router.get("/feed", responses=answered(FEED))
async def feed(request: Request) -> rows.Feed:
    """Freshness of live data: the feed and the live lane."""
    [found] = await request.app.state.service.database.rows("select * from live.feed")
    return rows.Feed(**found)


async def _of_watched(
    request: Request,
    icao: str,
    row: type[BaseModel],
    *,
    view: str,
    order: str,
    form: Literal["json", "csv"] | None,
) -> Response:
    """Rows of a live view of one watched airport."""
    airport = await _airport(request, icao)
    watched = request.app.state.service.settings.watch_airports
    if airport["icao"] not in watched:
        raise Problem(
            404,
            f"{airport['icao']} is not watched, so there are no live data for it; watched are "
            f"{', '.join(watched)} (SKYOPS_WATCH_AIRPORTS).",
        )
    found = await request.app.state.service.database.rows(
        SQL("select {} from {} where airport = %(airport)s order by {} nulls last").format(
            names(row.model_fields), Identifier("live", view), Identifier(order)
        ),
        {"airport": airport["icao"]},
    )
    beside = {"airport": airport["icao"], "timezone": airport["timezone"]}
    return answer(request, list(row.model_fields), found, form, **beside)


async def _airport(request: Request, icao: str) -> dict[str, str]:
    """An airport's code and time zone.

    Raises:
        Problem: 404; no list has it.
    """
    found = await request.app.state.service.database.rows(
        "select icao, timezone from raw.airports where icao = %(icao)s", {"icao": icao.upper()}
    )
    if not found:
        raise Problem(404, f"There is no airport {icao.upper()!r}; codes are ICAO's, such as LFPG.")
    one: dict[str, str] = found[0]
    return one
