"""What the live page draws: airports, runways and rings, tracks, stored hours, and their counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request, Response
from psycopg.sql import SQL

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.serving import rows
from skyops_assets.serving.examples import ALERT, ARRIVAL, FLIGHT_ID, answered
from skyops_assets.serving.pages import (
    JSON_TYPE,
    Key,
    Moment,
    equal,
    names,
    page,
    tagged,
    utc,
)
from skyops_assets.serving.problems import Problem, responses
from skyops_assets.serving.reads import From, Paged, To, listed, lists, within

PHASES = ("UNKNOWN", "GROUND", "TAKEOFF", "CLIMB", "CRUISE", "LEVEL", "DESCENT", "APPROACH",
          "LANDING")  # fmt: skip
NEARBY_DEG = 2.5
"""Runways are drawn so far around each watched airport, in degrees of latitude."""
COLUMNS = ("icao24", "flight_id", "callsign", "typecode", "seconds", "latitude_e5", "longitude_e5",
           "altitude_m", "ground_speed_mps", "track_deg", "phase")  # fmt: skip

# Postgres writes the JSON: put together row by row here it would take the service seconds.
TRACKS = SQL("""
select
    json_build_array(
        flights.icao24, flights.flight_id, flights.callsign, flights.typecode,
        track.seconds, track.latitudes, track.longitudes, track.altitudes, track.speeds,
        track.directions, track.phases
    )::text as packed
from metrics.fct_flights as flights
cross join lateral (
    select
        json_agg(extract(epoch from positioned_at - %(since)s)::integer order by positioned_at)
            as seconds,
        json_agg(round(latitude_deg * 100000)::integer order by positioned_at) as latitudes,
        json_agg(round(longitude_deg * 100000)::integer order by positioned_at) as longitudes,
        json_agg(round(altitude_m)::integer order by positioned_at) as altitudes,
        json_agg(round(ground_speed_mps)::integer order by positioned_at) as speeds,
        json_agg(round(track_deg)::integer order by positioned_at) as directions,
        json_agg(coalesce(array_position(%(phases)s, phase), 1) - 1 order by positioned_at)
            as phases
    from (
        select distinct on (date_bin(%(every)s, found.positioned_at, 'epoch')) found.*
        from live.tracks as found
        where
            found.icao24 = flights.icao24
            and found.flight_id = flights.flight_id
            and found.positioned_at >= %(since)s
            and found.positioned_at < %(since)s + %(lasting)s
        order by date_bin(%(every)s, found.positioned_at, 'epoch'), found.positioned_at
    ) as thinned
) as track
where
    flights.first_seen_at < %(since)s + %(lasting)s
    and flights.last_seen_at >= %(since)s
    and (%(flight_id)s::text is null or flights.flight_id = %(flight_id)s)
    and track.seconds is not null
order by flights.icao24, flights.flight_id
""")
HOURS = SQL("""(
    select
        hour_at,
        sum(position_count)::bigint as position_count,
        sum(aircraft_count)::bigint as aircraft_count,
        sum(anomaly_count)::bigint as anomaly_count
    from metrics.country_hourly
    group by hour_at
) as listed""")
AIRPORTS = """
select airport, name, latitude_deg, longitude_deg, timezone
from staging.stg_reference__airports
where airport = any(%(watched)s)
order by airport
"""
# A runway is drawn from threshold to threshold; its ends share the number after their names.
RUNWAYS = """
select
    low.airport,
    low.runway || '/' || high.runway as name,
    low.latitude_deg as from_latitude_deg,
    low.longitude_deg as from_longitude_deg,
    high.latitude_deg as to_latitude_deg,
    high.longitude_deg as to_longitude_deg
from staging.stg_reference__runway_ends as low
inner join staging.stg_reference__runway_ends as high
    on
        low.airport = high.airport
        and split_part(low.runway_end_id, '_', 3) = split_part(high.runway_end_id, '_', 3)
        and low.runway_end_id < high.runway_end_id
where exists (
    select 1
    from staging.stg_reference__airports as near
    where
        near.airport = any(%(watched)s)
        and abs(near.latitude_deg - low.latitude_deg) < %(nearby)s
        and abs(near.longitude_deg - low.longitude_deg) * cos(radians(near.latitude_deg))
        < %(nearby)s
)
order by low.airport, name
"""

router = lists()


@router.get("/map", responses=answered({
    "airports": [{"airport": "LFPO", "name": "Paris-Orly Airport", "latitude_deg": 48.7253,
                  "longitude_deg": 2.3594, "timezone": "Europe/Paris"}],
    "runways": [{"airport": "LFPO", "name": "06/24", "from_latitude_deg": 48.7204,
                 "from_longitude_deg": 2.3164, "to_latitude_deg": 48.7353,
                 "to_longitude_deg": 2.3608}],
    "rings_nm": [100, 40],
}))  # fmt: skip
async def sky_map(request: Request) -> Response:
    """Contents of the map: watched airports, the runways around them, and the models' rings."""
    service = request.app.state.service
    watched = list(service.settings.watch_airports)
    found = {
        "airports": await service.database.rows(AIRPORTS, {"watched": watched}),
        "runways": await service.database.rows(RUNWAYS, {"watched": watched, "nearby": NEARBY_DEG}),
        "rings_nm": RINGS_NM,
    }
    return tagged(request, orjson.dumps(found), JSON_TYPE)


PACKED = answered({
    "from": "2021-10-07T14:20:00Z", "columns": COLUMNS, "phases": PHASES,
    "tracks": [["02a195", FLIGHT_ID, "TAR722", "A320", [3, 13], [4841213, 4840911],
                [212341, 213902], [1234, 1180], [98, 97], [61, 61], [6, 7]]],
})  # fmt: skip
Every = Annotated[int, Query(ge=1, le=300, description="One position per this many seconds.")]


@router.get("/tracks", responses=PACKED)
async def tracks(
    request: Request,
    since: Annotated[Moment, Query(alias="from", description="Start of the time range.")],
    minutes: Annotated[int, Query(ge=1, le=15, description="Length of the time range.")] = 5,
    every_s: Every = 10,
) -> Response:
    """Tracks of all aircraft over some minutes, by flight, in packed form.

    Each column of a track is a list. `seconds` count from `from`, `latitude_e5` and `longitude_e5`
    are in 100,000ths of a degree, `phase` is a place in `phases`.
    """
    return await _packed(request, utc(since), timedelta(minutes=minutes), every_s)


@router.get("/flights/{flight_id}/track", responses={**PACKED, **responses(404)})
async def track(
    request: Request,
    flight_id: Annotated[str, Path(pattern="^[0-9A-Za-z_.:-]{1,100}$", examples=[FLIGHT_ID])],
    every_s: Every = 10,
) -> Response:
    """Track of one flight from its first to its last position, packed like `/v1/tracks`."""
    found = await request.app.state.service.database.rows(
        "select first_seen_at, last_seen_at from metrics.fct_flights"
        " where flight_id = %(flight_id)s",
        {"flight_id": flight_id},
    )
    if not found:
        raise Problem(404, f"There is no flight {flight_id!r}.")
    first, last = found[0].values()
    lasting = last - first + timedelta(seconds=1)
    return await _packed(request, first, lasting, every_s, flight_id)


async def _packed(
    request: Request,
    since: datetime,
    lasting: timedelta,
    every_s: int,
    flight_id: str | None = None,
) -> Response:
    values: dict[str, Any] = {
        "since": since,
        "lasting": lasting,
        "every": timedelta(seconds=every_s),
        "flight_id": flight_id,
        "phases": list(PHASES),
    }
    found = await request.app.state.service.database.rows(TRACKS, values)
    head = {"from": since, "columns": COLUMNS, "phases": PHASES}
    begin = orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1]
    packed = ",".join(row["packed"] for row in found).encode()
    return tagged(request, begin + b',"tracks":[' + packed + b"]}", JSON_TYPE)


@router.get("/moment", responses=answered({
    "at": "2021-10-07T14:20:00Z", "arrivals": [ARRIVAL], "alerts": [ALERT],
}))  # fmt: skip
async def moment(
    request: Request,
    at: Annotated[Moment, Query(description="A moment with stored positions.")],
) -> Response:
    """Boards and alerts at a past moment, from what is known about it today."""
    when = utc(at)
    found: dict[str, Any] = {"at": when}
    async with request.app.state.service.database.connection() as connection:
        # The views' clock, for this transaction.
        await connection.execute(
            "select set_config('skyops.now_at', %(at)s, true)", {"at": when.isoformat()}
        )
        for view, columns in (("arrivals", rows.LiveArrival), ("alerts", rows.LiveAlert)):
            read = await connection.execute(
                SQL("select {} from live.{}").format(names(columns.model_fields), SQL(view))
            )
            found[view] = await read.fetchall()
    return tagged(request, orjson.dumps(found, option=orjson.OPT_UTC_Z), JSON_TYPE)


@router.get("/hours", response_model=rows.Rows[rows.Hour], responses=listed({
    "hour_at": "2021-10-07T14:00:00Z", "position_count": 284102, "aircraft_count": 214,
    "anomaly_count": 31,
}))  # fmt: skip
async def hours(request: Request, asked: Paged, since: From = None, until: To = None) -> Response:
    """Hours with stored positions, as counted by the last hourly build."""
    return await page(
        request, rows.Hour, HOURS, Key("hour_at", ()), asked=asked,
        filters=within("hour_at", since, until),
    )  # fmt: skip


@router.get("/countries", response_model=rows.Rows[rows.CountryHour], responses=listed({
    "hour_at": "2021-10-07T14:00:00Z", "country": "France", "position_count": 120411,
    "aircraft_count": 84, "mean_altitude_m": 5120.4, "mean_ground_speed_mps": 151.2,
    "anomaly_count": 12,
}))  # fmt: skip
async def countries(
    request: Request,
    *,
    asked: Paged,
    since: From = None,
    until: To = None,
    country: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Aircraft and anomalies, by State of registration and hour."""
    return await page(
        request,
        rows.CountryHour,
        SQL("metrics.country_hourly"),
        Key("hour_at", ("country",)),
        asked=asked,
        filters={
            **within("hour_at", since, until),
            **equal(country=country),
        },
    )


@router.get("/phases", response_model=rows.Rows[rows.PhaseMinute], responses=listed({
    "minute_at": "2021-10-07T14:00:00Z", "phase": "APPROACH", "aircraft_count": 9,
}))  # fmt: skip
async def phases(request: Request, asked: Paged, since: From = None, until: To = None) -> Response:
    """Number of aircraft in each phase of flight, by minute."""
    return await page(
        request,
        rows.PhaseMinute,
        SQL("metrics.phase_counts_1m"),
        Key("minute_at", ("phase",)),
        asked=asked,
        filters=within("minute_at", since, until),
    )
