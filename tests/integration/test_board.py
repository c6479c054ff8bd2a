"""The board on the Paris recording: who is on it, who no longer, and how right it is.

The clock of a session says what time it is, so one warehouse with the whole recording shows the
board of each moment; with ``--long`` it is compared with that of a warehouse that knows no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.arrivals.steps.predict import predict_crossings, record_outcomes
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)
from skyops_assets.transform.follow import PASS
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases
from tests.support.dbt import Dbt
from validation.landing_probabilities import measure
from validation.sparse import thinned

pytestmark = [
    pytest.mark.xdist_group("board"),
    pytest.mark.usefixtures("manifest"),
    pytest.mark.mirror,
]
Dbts = Callable[[Warehouse], Dbt]
MINUTE = timedelta(minutes=1)


class Row(NamedTuple):
    """An aircraft on a board."""

    at: datetime
    icao24: str
    flight_id: str
    airport: str
    status: str
    predicted_landing_at: datetime | None
    ring_nm: int
    landing_probability: float


def settings() -> Settings:
    return Settings(data_mirror=Path(os.environ["SKYOPS_DATA_MIRROR"]))


def prepared(databases: Databases) -> Warehouse:
    """A warehouse with airports and runways."""
    warehouse = databases.new()
    for name, table in (
        ("airports", reference.airports()),
        ("runways", reference.runways(settings())),
    ):
        reference.replace_reference(warehouse, f"raw.{name}", name, table)
    return warehouse


@pytest.fixture(scope="module")
def recorded() -> pa.Table:
    """One vector in ten seconds, as OpenSky gives them."""
    return thinned(read_recording(demo_recording(), DEMO_START, DEMO_END).states, 10, 0)


@pytest.fixture(scope="module")
def paris(databases: Databases, dbt_of: Dbts, recorded: pa.Table) -> Iterator[Warehouse]:
    """The whole recording, with predictions and their outcomes."""
    warehouse = prepared(databases)
    load_states(warehouse, Recording("test", recorded, recorded))
    dbt_of(warehouse)("run")
    predict_crossings(warehouse, settings())
    record_outcomes(warehouse, settings())
    yield warehouse
    databases.drop(warehouse)


def asked(warehouse: Warehouse, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return [tuple(row) for row in cursor.fetchall()]


def boards(warehouse: Warehouse, moments: list[datetime]) -> list[Row]:
    found = []
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for at in moments:
            cursor.execute("select set_config('skyops.now_at', %s, false)", (at.isoformat(),))
            cursor.execute(f"select {', '.join(Row._fields[1:])} from live.arrivals")
            found += [Row(at, *row) for row in cursor.fetchall()]
    return found


def test_it_is_likelier_right_than_the_nearest_airport(paris: Warehouse) -> None:
    for scores in measure(paris).values():
        assert scores.landed > 40
        assert scores.brier < 0.5 * min(scores.nearest, scores.nearest_rate, scores.rate)
        assert scores.right >= 0.95 * scores.shown
    assert scores.shown >= 0.7 * scores.landed  # In the second half.


def test_who_is_on_the_board_lands_there_and_leaves_it_with_the_landing(paris: Warehouse) -> None:
    landed = {
        icao24: (airport, moved_at)
        for icao24, airport, moved_at in asked(
            paris,
            "select icao24, airport, moved_at from metrics.fct_movements "
            "where movement = 'landing' order by moved_at",
        )
    }
    steps = int((DEMO_END - DEMO_START) / timedelta(seconds=15))
    rows = boards(paris, [DEMO_START + n * timedelta(seconds=15) for n in range(steps)])
    assert len({(row.at, row.icao24) for row in rows}) == len(rows) > 2000
    late_s = [(row.at - landed[row.icao24][1]).total_seconds() for row in rows]
    assert max(late_s) <= 60

    def at_minute(minutes: float) -> list[Row]:
        return [
            row for row, late in zip(rows, late_s, strict=True)
            if timedelta(0) <= timedelta(seconds=-late) - minutes * MINUTE < timedelta(seconds=15)
        ]  # fmt: skip

    for minutes, least in ((10, 50), (1, 90)):
        shown = at_minute(minutes)
        right = [row for row in shown if landed[row.icao24][0] == row.airport]
        assert len(shown) >= least, minutes
        assert len(right) >= 0.95 * len(shown), minutes

    # What it shows is what was predicted, so it is as far off as that.
    predicted = {
        (flight_id, airport): (landing_at, error_min)
        for flight_id, airport, landing_at, error_min in asked(
            paris,
            "select flight_id, airport, predicted_landing_at, error_min from ml.predictions "
            "inner join ml.prediction_outcomes using "
            "(flight_id, airport, ring_nm, model_name, model_version) where ring_nm = 40",
        )
    }
    shown = [row for row in at_minute(10) if landed[row.icao24][0] == row.airport]
    errors = []
    for row in shown:
        landing_at, error_min = predicted[row.flight_id, row.airport]
        assert row.predicted_landing_at == landing_at
        if error_min is not None:
            late = (landing_at - landed[row.icao24][1]) / MINUTE
            errors.append((late, error_min))
    assert len(errors) > 40
    assert all(one == pytest.approx(other, abs=0.001) for one, other in errors)


def test_nothing_of_a_past_recording_is_there_now(paris: Warehouse) -> None:
    for view in ("aircraft", "candidates", "arrivals"):
        assert asked(paris, f"select count(*) from live.{view}") == [(0,)], view
    quarters = asked(
        paris,
        "select airport, count(*), sum(expected_landing_count), count(p90_landing_count) "
        "from live.demand group by airport order by airport",
    )
    assert quarters == [(code, 4, 0, 0) for code in ("LFOB", "LFPB", "LFPG", "LFPO", "LFPV")]
    # Everything was predicted when it was long over: no board has shown it.
    assert asked(paris, "select sum(landing_count) > 90, sum(shown_count) from ml.live_skill") == [
        (True, 0)
    ]


def test_the_demand_is_that_of_the_board(paris: Warehouse) -> None:
    """Of a quarter at 14:00: as many as land then, beside what LFPG takes when it is busy."""
    with paris.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set skyops.now_at = '2021-10-07 14:00+00'")
        cursor.execute(
            "select airport, candidate_count, expected_landing_count, p90_landing_count, "
            "past_quarter_count from live.demand where from_at = '2021-10-07 14:00+00'"
        )
        found = {airport: row for airport, *row in cursor.fetchall()}
        cursor.execute(
            "select airport, count(*) from metrics.fct_movements where movement = 'landing' and "
            "moved_at >= '2021-10-07 14:00+00' and moved_at < '2021-10-07 14:15+00' group by 1"
        )
        landed = dict(cursor.fetchall())
        cursor.execute("select count(*), count(distinct icao24) from live.aircraft")
        assert cursor.fetchall()[0][0] > 20
    for airport, (candidates, expected, _, _) in found.items():
        assert candidates >= expected, airport
        assert abs(expected - landed.get(airport, 0)) <= 3, airport
    assert found["LFPG"][2] >= 4
    assert found["LFPG"][3] == 7


def test_the_views_stand_until_their_sql_is_another(paris: Warehouse, dbt_of: Dbts) -> None:
    """And those that read one which is made again are made again with it."""

    def views() -> dict[str, int]:
        return dict(
            asked(
                paris,
                "select relname, pg_class.oid::bigint from pg_class inner join pg_namespace "
                "on relnamespace = pg_namespace.oid where nspname = 'live'",
            )
        )

    before = views()
    assert set(before) == {
        "aircraft", "alerts", "arrivals", "candidates", "demand", "feed", "fixes", "tracks",
    }  # fmt: skip
    dbt_of(paris)("run", "--select", "path:models/live")
    assert views() == before
    with paris.connect() as connection, connection.cursor() as cursor:
        cursor.execute("comment on view live.candidates is 'SQL of another version'")
    dbt_of(paris)("run", "--select", "path:models/live")
    after = views()
    assert set(after) == set(before)
    same = {name for name in before if after[name] == before[name]}
    assert same == {"aircraft", "alerts", "feed", "fixes", "tracks"}


def test_the_board_of_a_moment_is_that_of_who_knows_no_more(
    request: pytest.FixtureRequest,
    databases: Databases,
    dbt_of: Dbts,
    recorded: pa.Table,
    paris: Warehouse,
) -> None:
    """Loaded and passed over in steps, as `skyops follow` does it; the warehouse has no future."""
    if not request.config.getoption("--long"):
        pytest.skip("a pass for each step")
    warehouse = prepared(databases)
    landed = dict(
        asked(
            paris,
            "select icao24, min(moved_at) from metrics.fct_movements where movement = 'landing' "
            "group by 1",
        )
    )
    before, compared = DEMO_START, 0
    for at in [DEMO_START + n * timedelta(minutes=7) for n in range(4, 26)]:
        part = recorded.filter(
            pc.and_(
                pc.greater(recorded["time_position"], pa.scalar(before)),
                pc.less_equal(recorded["time_position"], pa.scalar(at)),
            )
        )
        load_states(warehouse, Recording("test", part, part))
        dbt_of(warehouse)(*(PASS if before > DEMO_START else ["run"]))
        predict_crossings(warehouse, settings())
        found, expected = (
            {row for row in boards(one, [at]) if landed[row.icao24] > at + MINUTE}
            for one in (warehouse, paris)
        )
        assert found == expected
        late = [row for row in boards(warehouse, [at]) if landed[row.icao24] < at - MINUTE]
        assert late == []
        compared += len(found)
        before = at
    assert compared > 50
    databases.drop(warehouse)
