"""Events: all that is there, then what changes."""

from __future__ import annotations

import pytest

from tests.support.databases import Query
from tests.support.serving import Served, told

pytestmark = pytest.mark.xdist_group("serving")


def test_what_changes_is_told_and_nothing_else(over_paris: Served, query: Query) -> None:
    warehouse = over_paris.warehouse
    here = {row[0]: row[1] for row in query(warehouse, "select icao24, phase from live.aircraft")}
    with over_paris.client.stream("GET", "/v1/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = told(stream.iter_lines())
        assert next(events)[0] == "begin"
        first = dict(next(events) for _ in range(4))
        assert {row["icao24"] for row in first["position"]} == here.keys()
        assert {row["icao24"]: row["phase"] for row in first["phase"]} == here
        assert first["prediction"]

        changed = next(one for one, phase in here.items() if phase not in ("LEVEL", "GROUND"))
        query(
            warehouse,
            "update intermediate.int_positions__phased set phase = 'LEVEL' where icao24 = %s",
            changed,
        )
        query(warehouse, "notify skyops_live")
        kind, rows = next(events)
        assert (kind, [(row["icao24"], row["phase"]) for row in rows]) == (
            "phase", [(changed, "LEVEL")],
        )  # fmt: skip

        query(warehouse, "update metrics.fct_flights set first_seen_at = last_seen_at + interval"
              " '1 day' where icao24 = %s", changed)  # fmt: skip
        query(warehouse, "notify skyops_live")
        kind, rows = next(events)
        assert (kind, rows) == ("position_gone", [{"icao24": changed}])
    # Others read the same warehouse.
    query(
        warehouse,
        "update metrics.fct_flights as flights set first_seen_at = (select min(positioned_at) "
        "from intermediate.int_positions__phased as positions "
        "where positions.flight_id = flights.flight_id) where icao24 = %s",
        changed,
    )


def test_a_listener_hears_what_it_asked_for(over_paris: Served) -> None:
    with over_paris.client.stream("GET", "/v1/events?kinds=alert,phase") as stream:
        events = told(stream.iter_lines())
        assert [next(events)[0] for _ in range(3)] == ["begin", "phase", "alert"]
    assert over_paris.client.get("/v1/events?kinds=all").status_code == 422
