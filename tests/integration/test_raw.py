"""Positions into the warehouse: the whole Paris recording to the row, loading again, loading at
once, being killed, and rows that cannot be true."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from skyops_assets.quality.reconciliation import Load, accounts, last_load, loaded_states
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.states import recording, seconds, state, states, traffic_row, write_recording

HOUR = timedelta(hours=1)
CONTENT = (
    "select (select md5(string_agg(s::text, '' order by s.icao24, s.time_position, s.source)) "
    "from raw.opensky_states as s), (select md5(string_agg(r::text, '' order by r.payload::text)) "
    "from raw.rejected_states as r)"
)
"""One hash over everything that the loads have left, batch numbers included."""


def materialize(assets: list[Any], instance: Any, **options: Any) -> Any:
    import dagster as dg

    from skyops_assets.defs.resources import WarehouseResource

    return dg.materialize(
        assets, instance=instance, resources={"warehouse": WarehouseResource()}, **options
    )


def hours(first: str, last: str) -> dict[str, str]:
    from dagster._core.storage.tags import (
        ASSET_PARTITION_RANGE_END_TAG,
        ASSET_PARTITION_RANGE_START_TAG,
    )

    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


# The real recording


@pytest.mark.skipif(
    importlib.util.find_spec("traffic") is None, reason="the recording's wheel is not installed"
)
def test_the_paris_recording_is_loaded_to_the_row_and_again_without_change(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states

    monkeypatch.setenv("SKYOPS_RECORDING", "demo")
    tags = hours("2021-10-07-12:00", "2021-10-07-14:00")
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialize([opensky_states], instance, tags=tags)
        before = query(pointed, CONTENT)
        second = materialize([opensky_states], instance, tags=tags)
    assert first.success
    assert second.success
    found = query(
        pointed,
        "select run_id = %s, count(*), sum(read_rows)::int, sum(loaded_rows)::int, "
        "sum(duplicate_rows)::int, sum(rejected_rows)::int from raw.ingest_batches "
        "group by 1 order by 1 desc",
        first.run_id,
    )
    (_, batches, read, loaded, duplicates, rejected), again = found
    assert (batches, read) == (3, 284_505)
    assert read == loaded + duplicates + rejected
    assert loaded > 280_000
    assert rejected > 0
    assert again == (False, 3, 284_505, 0, 284_505, 0)
    assert query(pointed, CONTENT) == before
    assert query(pointed, "select count(*) from raw.opensky_states") == [(loaded,)]
    assert query(pointed, "select count(*) from raw.rejected_states") == [(rejected,)]
    assert accounts(pointed).is_balanced

    shown = {
        event.materialization.partition: event.materialization.metadata
        for event in first.get_asset_materialization_events()
    }
    assert set(shown) == {f"2021-10-07-{hour}:00" for hour in (12, 13, 14)}
    assert sum(metadata["read_rows"].value for metadata in shown.values()) == 284_505


# Anything else, small


def test_each_row_is_loaded_a_duplicate_or_rejected(warehouse: Warehouse, query: Query) -> None:
    good = seconds(3)
    bad = [state(latitude_deg=None), state(velocity_mps=2_441.0)]
    made = load_states(
        warehouse,
        recording(*good, good[0], state(icao24="3c6445"), *bad),
        run_id="r1",
    )
    assert (made.read_rows, made.loaded_rows, made.duplicate_rows, made.rejected_rows) == (
        7, 4, 1, 2,
    )  # fmt: skip
    assert (made.window_start_at, made.window_end_at) == (
        DEMO_START,
        DEMO_START + timedelta(seconds=2),
    )
    assert query(warehouse, "select run_id, read_rows from raw.ingest_batches") == [("r1", 7)]
    assert accounts(warehouse).is_balanced


def test_what_is_stored_is_what_was_read(warehouse: Warehouse, query: Query) -> None:
    row = state(icao24="000001", squawk="0021", callsign="it's", category=None)
    load_states(warehouse, recording(row, source="o'clock"))
    [frame] = loaded_states(warehouse, Load(DEMO_START, DEMO_START, None))
    stored = frame.to_dict("records")
    assert stored[0]["source"] == "o'clock"
    assert {name: stored[0][name] for name in ("icao24", "squawk", "callsign")} == {
        "icao24": "000001", "squawk": "0021", "callsign": "it's",
    }  # fmt: skip
    columns = ", ".join(row)
    assert query(warehouse, f"select {columns} from raw.opensky_states") == [tuple(row.values())]


def test_a_rejected_row_is_kept_once_unchanged_with_its_reason(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    from skyops_assets.sources.opensky.reading.recordings import read_recording

    wrong = traffic_row(altitude=124_200, callsign="ÉTÉ '1\"  ")
    path = write_recording(tmp_path / "some.json", wrong, traffic_row())
    for expected in (1, 0):
        made = load_states(warehouse, read_recording(path, DEMO_START, DEMO_END))
        assert (made.rejected_rows, made.duplicate_rows) == (expected, 2 - 2 * expected)
    kept = query(
        warehouse, "select target, source, payload, reason, batch_id from raw.rejected_states"
    )
    first = made.batch_id - 1
    reason = "baro_altitude_m outside -1500 to 30480"
    assert kept == [("raw.opensky_states", "recording:some", wrong, reason, first)]


def test_a_row_without_a_time_is_kept_once_however_many_hours_are_loaded(
    warehouse: Warehouse, query: Query
) -> None:
    whole = recording(state(), state(time_position=None))
    for hour in range(3):
        start = DEMO_START + timedelta(hours=hour)
        load_states(warehouse, whole.between(start, start + timedelta(hours=1)))
    assert query(warehouse, "select reason from raw.rejected_states") == [("no time of position",)]
    assert accounts(warehouse).is_balanced


def test_values_that_json_does_not_know_do_not_stop_a_load(
    warehouse: Warehouse, query: Query
) -> None:
    rows = [state(latitude_deg=math.inf), state(latitude_deg=math.nan), state()]
    made = load_states(warehouse, recording(*rows))
    assert (made.rejected_rows, made.loaded_rows) == (2, 1)
    assert query(
        warehouse, "select payload ->> 'latitude_deg', reason from raw.rejected_states order by 1"
    ) == [("inf", "latitude_deg outside -90 to 90"), ("nan", "no position")]


def test_of_states_at_one_time_the_one_heard_nearest_to_it_is_kept(
    warehouse: Warehouse, query: Query
) -> None:
    """In one load as in several, whatever their order."""
    rows = [state(last_contact=None, squawk="1"),
            state(last_contact=DEMO_START + timedelta(seconds=3), squawk="2"),
            state(last_contact=DEMO_START + timedelta(seconds=1), squawk="3"),
            state(last_contact=DEMO_START - timedelta(seconds=1), squawk="4"),
            state(last_contact=DEMO_START + timedelta(minutes=23), squawk="5")]  # fmt: skip
    for turn, order in enumerate(permutations(rows)):
        if turn % 10 == 0:
            load_states(warehouse, recording(*order, source=f"together {turn}"))
            for row in order:
                load_states(warehouse, recording(row, source=f"apart {turn}"))
    assert query(warehouse, "select distinct squawk from raw.opensky_states") == [("3",)]
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(24,)]
    assert accounts(warehouse).is_balanced


def test_the_same_position_from_two_sources_is_two_rows(warehouse: Warehouse) -> None:
    for source in ("one", "two"):
        assert load_states(warehouse, recording(state(), source=source)).loaded_rows == 1


def test_an_empty_recording_is_a_batch_with_nothing_in_it(
    warehouse: Warehouse, query: Query
) -> None:
    made = load_states(warehouse, recording())
    assert (made.read_rows, made.window_start_at) == (0, None)
    assert query(warehouse, "select read_rows from raw.ingest_batches") == [(0,)]
    assert last_load(warehouse, None) is None


def test_rows_around_midnight_go_to_the_partition_of_their_utc_day(
    warehouse: Warehouse, query: Query
) -> None:
    midnight = datetime(2021, 10, 8, tzinfo=UTC)
    times = [midnight - timedelta(microseconds=1), midnight]
    load_states(warehouse, recording(*[state(time_position=at) for at in times]))
    assert query(
        warehouse,
        "select tableoid::regclass::text, time_position from raw.opensky_states order by 2",
    ) == [("raw.opensky_states_20211007", times[0]), ("raw.opensky_states_20211008", times[1])]


def test_the_window_of_a_run_is_that_of_all_its_batches_else_of_the_last_run(
    warehouse: Warehouse, query: Query
) -> None:
    for start, run in ((DEMO_START, "a"), (DEMO_START + HOUR, "a"), (DEMO_START + 5 * HOUR, "b")):
        load_states(warehouse, recording(*seconds(2, start)), run_id=run)
    query(warehouse, "update raw.ingest_batches set transformed_at = now()")
    second = timedelta(seconds=1)
    last = (DEMO_START + 5 * HOUR, DEMO_START + 5 * HOUR + second)
    assert last_load(warehouse, "a") == (DEMO_START, DEMO_START + HOUR + second, None, 4)
    assert last_load(warehouse, "b") == (*last, None, 2)
    assert last_load(warehouse, "neither") == (*last, (3,), 2)
    assert last_load(warehouse, None) == (*last, (3,), 2)


def test_loads_that_no_model_holds_yet_are_looked_at_whenever_they_came(
    warehouse: Warehouse, query: Query
) -> None:
    for day, run in enumerate((None, "a run that ended", None)):
        at = DEMO_START + timedelta(days=day)
        load_states(warehouse, recording(state(time_position=at)), run_id=run)
    query(warehouse, "update raw.ingest_batches set finished_at = '2021-10-08' where batch_id < 3")
    load = last_load(warehouse, "another")
    assert load == (DEMO_START, DEMO_START + timedelta(days=2), (1, 2, 3), 3)
    query(warehouse, "update raw.ingest_batches set transformed_at = now() where batch_id <> 2")
    day = DEMO_START + timedelta(days=1)
    assert last_load(warehouse, "another") == (day, day, (2,), 1)


def test_loads_outside_of_runs_are_one_while_they_are_less_than_an_hour_apart(
    warehouse: Warehouse, query: Query
) -> None:
    for day in range(3):
        load_states(warehouse, recording(state(time_position=DEMO_START + timedelta(days=day))))
    query(
        warehouse,
        "update raw.ingest_batches set transformed_at = now(), "
        "finished_at = finished_at - (batch_id = 1)::int * interval '61 min'",
    )
    load = last_load(warehouse, "none of them")
    assert load == (DEMO_START + timedelta(days=1), DEMO_START + timedelta(days=2), (2, 3), 2)
    # A row between them that came with neither is not theirs to answer for.
    between = DEMO_START + timedelta(days=1, hours=12)
    load_states(warehouse, recording(state(time_position=between)), run_id="another")
    assert [len(part) for part in loaded_states(warehouse, load)] == [2]


def test_many_rows_are_read_in_parts(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyops_assets.quality.reconciliation.PART_ROWS", 1)
    rows = 100_000
    aircraft = [f"{number:06x}" for number in range(rows)]
    table = states(state()).take([0] * rows).set_column(0, "icao24", pa.array(aircraft))
    load_states(warehouse, Recording("test", table, table))
    load = last_load(warehouse, None)
    assert load is not None
    parts = [len(part) for part in loaded_states(warehouse, load)]
    assert len(parts) > 1
    assert sum(parts) == rows


# Several at once, and killed


def test_loads_at_once_lose_nothing_and_store_nothing_twice(
    warehouse: Warehouse, query: Query
) -> None:
    """Half of their rows are the same, half their own; the day's partition is not there yet."""
    shared = [*seconds(500), state(latitude_deg=None)]
    made: list[Any] = []
    start = threading.Barrier(3)

    def load(own: str) -> None:
        start.wait()
        made.append(load_states(warehouse, recording(*shared, *seconds(500, icao24=own))))

    threads = [threading.Thread(target=load, args=(f"00000{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.loaded_rows for one in made) == [500, 500, 1000]
    assert sum(one.rejected_rows for one in made) == 1
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(2000,)]
    assert accounts(warehouse).is_balanced


KILLED = """
    import os, signal, sys
    from tests.support.states import recording, seconds, state
    from skyops_assets.sources.opensky.loading import states as load
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse import bulk
    from skyops_assets.warehouse.connection import open_warehouse

    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    where, name = sys.argv[1].split(".")
    setattr({"load": load, "bulk": bulk}[where], name, die)
    rows = [*seconds(1000), state(latitude_deg=None)]
    load.load_states(open_warehouse(load_settings()), recording(*rows))
"""


@pytest.mark.parametrize("moment", ["load.insert_good", "load.keep_payloads",
                                    "bulk.record_batch"])  # fmt: skip
def test_a_load_that_is_killed_leaves_nothing_and_can_be_repeated(
    warehouse: Warehouse, query: Query, home: Path, moment: str
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), moment],
        cwd=PROJECT_ROOT,
        env={**os.environ, "SKYOPS_HOME": str(home), "SKYOPS_WAREHOUSE_URL": warehouse.libpq()},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    for table in ("opensky_states", "rejected_states", "ingest_batches"):
        assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]
    again = load_states(warehouse, recording(*seconds(1000), state(latitude_deg=None)))
    assert (again.loaded_rows, again.rejected_rows) == (1000, 1)
    assert accounts(warehouse).is_balanced


# Through Dagster, small


def test_an_hour_without_rows_is_green_with_a_batch_of_none(
    pointed: Warehouse,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states

    path = write_recording(tmp_path / "some.json", traffic_row())
    monkeypatch.setenv("SKYOPS_RECORDING", str(path))
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize([opensky_states], instance, partition_key="2021-10-07-13:00").success
    assert query(pointed, "select read_rows from raw.ingest_batches") == [(0,)]


def test_a_missing_recording_fails_the_run_with_one_clear_sentence(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.errors import SkyOpsError

    monkeypatch.setenv("SKYOPS_RECORDING", "/nowhere/some.json")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(SkyOpsError, match=r"/nowhere/some\.json does not exist"),
    ):
        materialize([opensky_states], instance, partition_key="2021-10-07-12:00")


def test_airports_are_replaced_and_missing_runways_do_not_stop_the_graph(
    pointed: Warehouse,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import airports, runways

    monkeypatch.setenv("SKYOPS_DATA_MIRROR", str(tmp_path))
    counts = "select (select count(*) from raw.airports), (select count(*) from raw.runways)"
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialize([airports, runways], instance)
        stored = query(pointed, counts)
        assert materialize([airports, runways], instance).success
    assert query(pointed, counts) == stored
    assert stored[0][0] > 20_000
    assert stored[0][1] == 56, "those around Paris come with SkyOps"
    shown = first.asset_materializations_for_node("raw__runways")[0].metadata
    assert "has no file" in str(shown["unavailable"].value)


@pytest.mark.mirror
def test_runways_are_loaded_whole_and_replaced(pointed: Warehouse, query: Query) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import runways

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            assert materialize([runways], instance).success
    assert query(pointed, "select count(*) from raw.runways") == [(48_184,)]


def test_cutting_a_recording_keeps_rows_and_states_together() -> None:
    rows = pa.table({"n": [1, 2]})
    found = Recording("x", rows, states(state(), state(time_position=DEMO_START + HOUR)))
    assert found.between(DEMO_START, DEMO_START + HOUR).rows["n"].to_pylist() == [1]


def test_a_past_hour_is_read_only_from_a_recording_that_is_named(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    """Neither from the demo's file, which is there, nor from OpenSky, which tells of now only."""
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states

    monkeypatch.delenv("SKYOPS_RECORDING", raising=False)
    hour = "2021-10-07-12:00"
    with dg.DagsterInstance.ephemeral() as instance:
        run = materialize([opensky_states], instance, partition_key=hour, raise_on_error=False)
        (failed,) = [event for event in run.all_events if event.is_step_failure]
        said = failed.step_failure_data.error.cause.message
        assert f"No recording is set, and OpenSky provides present positions only: {hour}" in said
        assert "`demo` names the demo's" in said
        assert query(pointed, "select count(*) from raw.ingest_batches") == [(0,)]
        config = {"ops": {opensky_states.op.name: {"config": {"recording": "demo"}}}}
        assert materialize(
            [opensky_states], instance, partition_key=hour, run_config=config
        ).success
    assert query(pointed, "select count(*) > 0 from raw.opensky_states") == [(True,)]
