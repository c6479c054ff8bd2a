"""What the live page asks for: the map, tracks, hours, a moment, and packed events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")


def got(served: Served, path: str) -> Any:
    answer = served.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_map_has_the_watched_airports_and_runways_around(over_paris: Served) -> None:
    found = got(over_paris, "/v1/map")
    names = [one["airport"] for one in found["airports"]]
    assert names == sorted(names) and {"LFPG", "LFPO"} <= set(names)
    assert found["rings_nm"] == [100, 40]
    # Reference data of the test's warehouse has no runways.
    assert isinstance(found["runways"], list)


def test_tracks_are_the_positions_of_the_table(over_paris: Served, query: Query) -> None:
    window = "from=2021-10-07T14:10:00Z&minutes=5"
    found = got(over_paris, f"/v1/tracks?{window}&every_s=1")
    rows = {
        (flight, 1_633_615_800 + second): (lat, lon, found["phases"][phase])
        for _, flight, _, _, seconds, lats, lons, *_, phases in found["tracks"]
        for second, lat, lon, phase in zip(seconds, lats, lons, phases, strict=True)
    }
    expected = query(
        over_paris.warehouse,
        "select flight_id, extract(epoch from positioned_at)::integer,"
        " round(latitude_deg * 100000)::integer, round(longitude_deg * 100000)::integer, phase"
        " from live.tracks where positioned_at >= '2021-10-07 14:10+00'"
        " and positioned_at < '2021-10-07 14:15+00'",
    )
    assert len(expected) > 300
    assert rows == {(row[0], row[1]): tuple(row[2:]) for row in expected}

    thin = got(over_paris, f"/v1/tracks?{window}&every_s=60")
    assert max(len(track[4]) for track in thin["tracks"]) == 5

    one = thin["tracks"][0][1]
    [alone] = got(over_paris, f"/v1/flights/{one}/track?every_s=1")["tracks"]
    counted = "select count(*) from live.tracks where flight_id = %s"
    assert alone[1] == one and [(len(alone[4]),)] == query(over_paris.warehouse, counted, one)
    assert over_paris.client.get("/v1/flights/nobody/track").status_code == 404


def test_hours_phases_and_countries_are_counted(over_paris: Served, query: Query) -> None:
    hours = got(over_paris, "/v1/hours")["data"]
    assert [one["hour_at"] for one in hours][:1] == ["2021-10-07T14:00:00Z"]
    [(count,)] = query(
        over_paris.warehouse, "select sum(position_count) from metrics.country_hourly"
    )
    assert sum(one["position_count"] for one in hours) == count
    assert {one["phase"] for one in got(over_paris, "/v1/phases")["data"]} >= {"CRUISE", "DESCENT"}
    assert got(over_paris, "/v1/countries?country=France")["data"][0]["aircraft_count"] > 5


def test_a_moment_is_what_the_views_show_then(over_paris: Served, query: Query) -> None:
    then = got(over_paris, "/v1/moment?at=2021-10-07T14:10:00Z")
    now = got(over_paris, "/v1/moment?at=2021-10-07T14:20:00Z")
    board = {one["flight_id"] for one in now["arrivals"]}
    assert board and board != {one["flight_id"] for one in then["arrivals"]}
    [(count,)] = query(over_paris.warehouse, "select count(*) from live.arrivals")
    assert count == len(now["arrivals"])
    assert got(over_paris, "/v1/moment?at=1999-01-01")["arrivals"] == []


def test_packed_events_are_fixes_and_what_the_lane_knows(over_paris: Served, query: Query) -> None:
    path = "/v1/events?kinds=fix,about,feed&packed=true"
    with over_paris.client.stream("GET", path) as stream:
        lines = (line[6:] for line in stream.iter_lines() if line.startswith("data: "))
        columns = json.loads(next(lines))["columns"]
        fixes, about, feed = (json.loads(next(lines)) for _ in range(3))
        here = {row[0] for row in query(over_paris.warehouse, "select icao24 from live.fixes")}
        assert {row[columns["fix"].index("icao24")] for row in fixes} == here
        assert {row[columns["about"].index("icao24")] for row in about} <= here
        assert len(feed) == 1 and len(feed[0]) == len(columns["feed"])

        # One position more, straight from a load: no model has it.
        try:
            query(
                over_paris.warehouse,
                "insert into raw.opensky_states"
                " (icao24, time_position, latitude_deg, longitude_deg, source, batch_id)"
                " values (%s, '2021-10-07 14:20:00+00', 48.5, 2.5, 'a test', 0)",
                min(here),
            )
            query(over_paris.warehouse, "notify skyops_loads")
            [moved] = json.loads(next(lines))
        finally:
            query(over_paris.warehouse, "delete from raw.opensky_states where source = 'a test'")
        assert moved[0] == min(here) and moved[3:5] == [48.5, 2.5]
