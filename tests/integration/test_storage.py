"""How positions are stored: against a model in plain Python, by several processes, over the
change of schema, retention, and rejected rows that are taken again."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyops_assets.quality.reconciliation import accounts, stored_twice
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.sources.opensky import schema
from skyops_assets.sources.opensky.loading import replay
from skyops_assets.sources.opensky.loading.malformed_responses import keep_malformed_response
from skyops_assets.sources.opensky.loading.partitions import (
    days_to_drop,
    days_to_index,
    drop_old_partitions,
    index_finished_days,
)
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    iter_recording,
    read_recording,
)
from skyops_assets.sources.opensky.reading.rest import SOURCE, read_response
from skyops_assets.warehouse.bulk import Batch
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.migrate import MIGRATIONS, migrate
from tests.support.databases import Query
from tests.support.states import is_nearer, recording, seconds, state, traffic_row, write_recording

MIDNIGHT = datetime(2021, 10, 8, tzinfo=UTC)
DAY = date(2021, 10, 7)
PARTITIONS = (
    "select inhrelid::regclass::text from pg_inherits "
    "where inhparent = 'raw.opensky_states'::regclass order by 1"
)


def forget_all(warehouse: Warehouse, query: Query) -> None:
    for (name,) in query(warehouse, PARTITIONS):
        query(warehouse, f"drop table {name}")
    query(warehouse, "truncate raw.rejected_states, raw.ingest_batches cascade")


# Against a model

Stored = dict[tuple[str, datetime, str], tuple[datetime | None, str]]
"""(icao24, time_position, source) to last_contact and what else the row says (squawk)."""


def model_load(stored: Stored, source: str, rows: list[dict[str, Any]]) -> int:
    """Load into the model; returns how many rows are new."""
    incoming: Stored = {}
    for row in rows:
        if row["latitude_deg"] is None:
            continue
        key = (row["icao24"], row["time_position"], source)
        if key not in incoming or is_nearer(key[1], row["last_contact"], incoming[key][0]):
            incoming[key] = (row["last_contact"], row["squawk"])
    for key, value in incoming.items():
        if key in stored and is_nearer(key[1], value[0], stored[key][0]):
            stored[key] = value
    new = {key: value for key, value in incoming.items() if key not in stored}
    stored.update(new)
    return len(new)


ROWS = st.lists(
    st.builds(
        lambda icao24, second, contact, squawk, is_bad: state(
            icao24=icao24,
            time_position=MIDNIGHT + timedelta(seconds=second),
            last_contact=None if contact is None else MIDNIGHT + timedelta(seconds=contact),
            squawk=f"{squawk:04}",
            latitude_deg=None if is_bad else 49.01,
        ),
        st.sampled_from(["000001", "abcdef", "3c6444"]),
        st.integers(-4, 3),
        st.none() | st.integers(0, 3),
        st.integers(0, 9999),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=12,
)


# `query` is a fixture of each test, but holds nothing.
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(["one", "two's"]), ROWS), min_size=1, max_size=5))
def test_the_table_is_what_a_dictionary_would_hold(
    shared_warehouse: Warehouse, query: Query, loads: list[tuple[str, list[dict[str, Any]]]]
) -> None:
    """Any cuts, orders, overlaps and repetitions, over midnight, from two sources."""
    forget_all(shared_warehouse, query)
    stored: Stored = {}
    for source, rows in loads:
        made = load_states(shared_warehouse, recording(*rows, source=source))
        assert made.read_rows == len(rows)
        assert made.loaded_rows == model_load(stored, source, rows)
        times = [row["time_position"] for row in rows if row["latitude_deg"] is not None]
        expected = (min(times), max(times)) if times else (None, None)
        assert (made.window_start_at, made.window_end_at) == expected
    found = query(
        shared_warehouse,
        "select icao24, time_position, source, last_contact, squawk from raw.opensky_states",
    )
    assert sorted(found, key=str) == sorted(
        ((*key, *value) for key, value in stored.items()), key=str
    )
    assert accounts(shared_warehouse).is_balanced
    assert query(
        shared_warehouse,
        "select count(*) from raw.opensky_states where tableoid::regclass::text <> "
        "'raw.opensky_states_' || to_char(time_position at time zone 'UTC', 'YYYYMMDD')",
    ) == [(0,)]


def test_a_nearer_contact_replaces_a_stored_row_and_counts_as_a_duplicate(
    warehouse: Warehouse, query: Query
) -> None:
    """OpenSky repeats a position while it hears the aircraft: what came later is of later."""
    for contact_s, squawk, kept in (
        (None, "0001", "0001"),
        (1380, "0002", "0002"),
        (-5, "0003", "0003"),
        (5, "0004", "0004"),
        (-5, "0005", "0004"),
        (5, "0006", "0004"),
        (1380, "0007", "0004"),
        (None, "0008", "0004"),
        (0.25, "0009", "0009"),
        (0.5, "0010", "0009"),
    ):
        contact = None if contact_s is None else DEMO_START + timedelta(seconds=contact_s)
        made = load_states(warehouse, recording(state(last_contact=contact, squawk=squawk)))
        assert made.loaded_rows + made.duplicate_rows == 1
        assert query(warehouse, "select squawk from raw.opensky_states") == [(kept,)]
    assert accounts(warehouse).is_balanced


def test_a_load_that_meets_no_stored_row_needs_no_index_and_one_that_does_makes_it(
    warehouse: Warehouse, query: Query
) -> None:
    index = "select to_regclass('raw.opensky_states_20211007_once')::text"
    load_states(warehouse, recording(*seconds(100)))
    load_states(warehouse, recording(*seconds(100, DEMO_START + timedelta(hours=1))))
    load_states(warehouse, recording(*seconds(100), source="another"))
    assert query(warehouse, index) == [(None,)]
    load_states(warehouse, recording(*seconds(100)))
    assert query(warehouse, index) == [("raw.opensky_states_20211007_once",)]
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(300,)]


# Several processes

LOADER = """
    import sys
    from datetime import timedelta
    from tests.support.states import recording, seconds
    from skyops_assets.sources.opensky.loading.states import load_states
    from skyops_assets.sources.opensky.reading.recordings import DEMO_START
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse.connection import open_warehouse

    number = int(sys.argv[1])
    warehouse = open_warehouse(load_settings())
    days = [0, 1, 2] if number % 2 else [2, 1, 0]
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(5):
        rows = []
        for day in days:
            start = DEMO_START + timedelta(days=day, seconds=50 * turn)
            rows += seconds(100, start) + seconds(20, start, icao24=f"00000{number}")
        load_states(warehouse, recording(*rows))
"""


def start_loader(warehouse: Warehouse, home: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOADER), str(number)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "SKYOPS_HOME": str(home), "SKYOPS_WAREHOUSE_URL": warehouse.libpq()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def test_processes_at_once_lose_nothing_store_nothing_twice_and_one_may_be_killed(
    warehouse: Warehouse, query: Query, home: Path
) -> None:
    """Their rows overlap, over three new days, which they bring in opposite orders."""
    loaders = [start_loader(warehouse, home, number) for number in range(4)]
    for loader in loaders:
        assert loader.stdout
        assert loader.stdout.readline() == b"ready\n"
    for loader in loaders:
        assert loader.stdin
        loader.stdin.write(b"\n")
        loader.stdin.flush()
    loaders[3].kill()
    for loader in loaders:
        loader.communicate(timeout=120)
    assert [loader.returncode for loader in loaders[:3]] == [0, 0, 0]
    again = start_loader(warehouse, home, 3)
    again.communicate(b"\n", timeout=120)
    assert again.returncode == 0
    # 300 s of the shared aircraft and 5 x 20 s of each process's own, on each of 3 days.
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(3 * (300 + 4 * 100),)]
    assert stored_twice(warehouse, DEMO_START, DEMO_START + timedelta(days=3)) == 0
    assert accounts(warehouse).is_balanced


# The change of schema


def test_positions_stored_under_the_key_are_kept_and_met_by_later_loads(
    databases: Any, query: Query, tmp_path: Path
) -> None:
    shutil.copy(MIGRATIONS / "0001_base.sql", tmp_path)
    warehouse = databases.new(is_migrated=False)
    try:
        migrate(warehouse, tmp_path)
        query(
            warehouse,
            "create table raw.opensky_states_20211007 partition of raw.opensky_states "
            "for values from ('2021-10-07+00') to ('2021-10-08+00'); "
            "insert into raw.opensky_states (icao24, time_position, longitude_deg, latitude_deg, "
            "source, batch_id) select '3c6444', at, 2.5, 49, 'test', 1 from generate_series("
            "'2021-10-07 12:00+00'::timestamptz, '2021-10-07 12:00:09+00', '1 second') as at",
        )
        migrate(warehouse)
        made = load_states(warehouse, recording(*seconds(20)))
        assert (made.loaded_rows, made.duplicate_rows) == (10, 10)
        counts = "count(*), count(distinct time_position), count(last_contact)"
        assert query(warehouse, f"select {counts} from raw.opensky_states") == [(20, 20, 20)]
    finally:
        databases.drop(warehouse)


# Retention and finished days


def test_retention_drops_whole_days_before_the_oldest_kept_one() -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    now = datetime(2021, 10, 10, 0, 30, tzinfo=UTC)
    assert days_to_drop(days, None, now) == []
    assert days_to_drop(days, 1, now) == days[:2]
    assert days_to_drop(days, 2, now) == days[:1]
    assert days_to_drop(days, 3, now) == []
    # Where it is a day earlier, by the clock on the wall.
    west = now.astimezone(timezone(timedelta(hours=-5)))
    assert days_to_drop(days, 2, west) == days[:1]
    with pytest.raises(ValueError, match="would drop today's positions"):
        days_to_drop(days, 0, now)


def test_only_finished_days_without_recent_loads_are_indexed() -> None:
    days = [DAY + timedelta(days=number) for number in range(3)]
    now = datetime(2021, 10, 9, 0, 30, tzinfo=UTC)
    assert days_to_index(days, {days[0]}, now) == [days[1]]


def test_dropped_days_stay_in_the_accounts(warehouse: Warehouse, query: Query) -> None:
    for day, rows in ((0, 10), (1, 20)):
        load_states(warehouse, recording(*seconds(rows, DEMO_START + timedelta(days=day))))
    now = DEMO_START + timedelta(days=3)
    assert drop_old_partitions(warehouse, None, now) == {}
    assert drop_old_partitions(warehouse, 2, now) == {DAY: 10}
    assert drop_old_partitions(warehouse, 2, now) == {}
    assert query(warehouse, PARTITIONS) == [("raw.opensky_states_20211008",)]
    assert query(warehouse, "select target, day, row_count from raw.dropped_partitions") == [
        ("raw.opensky_states", DAY, 10)
    ]
    found = accounts(warehouse)
    assert (found.loaded_rows, found.stored_rows, found.dropped_rows) == (30, 20, 10)
    assert found.is_balanced
    # The same rows again are new rows, and can be dropped again.
    assert load_states(warehouse, recording(*seconds(10))).loaded_rows == 10
    assert drop_old_partitions(warehouse, 2, now) == {DAY: 10}
    assert accounts(warehouse).is_balanced


def test_a_day_that_a_query_reads_is_dropped_the_next_time(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyops_assets.sources.opensky.loading.partitions.DROP_WAITS_MS", 50)
    load_states(warehouse, recording(*seconds(10)))
    now = DEMO_START + timedelta(days=3)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from raw.opensky_states")
        assert drop_old_partitions(warehouse, 1, now) == {}
    assert accounts(warehouse).stored_rows == 10
    assert drop_old_partitions(warehouse, 1, now) == {DAY: 10}


def test_finished_days_get_their_index_once(warehouse: Warehouse) -> None:
    load_states(warehouse, recording(*seconds(10)))
    now = datetime.now(UTC)
    assert index_finished_days(warehouse, now) == []
    assert index_finished_days(warehouse, now + timedelta(hours=2)) == [DAY]
    assert index_finished_days(warehouse, now + timedelta(hours=2)) == []
    again = load_states(warehouse, recording(*seconds(20)))
    assert (again.loaded_rows, again.duplicate_rows) == (10, 10)


@pytest.mark.parametrize(("days", "kept"), [("", 1), ("30", 0)])
def test_the_asset_drops_old_days_only_where_a_setting_says_so(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: str, kept: int
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource

    path = write_recording(tmp_path / "some.json", traffic_row())
    monkeypatch.setenv("SKYOPS_RECORDING", str(path))
    if days:
        monkeypatch.setenv("SKYOPS_RAW_RETENTION_DAYS", days)
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(
            [opensky_states],
            instance=instance,
            partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()},
        )
    assert made.success
    found = accounts(pointed)
    assert (found.stored_rows, found.dropped_rows) == (kept, 1 - kept)
    assert found.is_balanced


# Rejected rows again


def rejected(warehouse: Warehouse, tmp_path: Path) -> None:
    """Two rows that a wider limit would take, one that repeats a good one, one without a place."""
    high = traffic_row(altitude=124_200)
    rows = [
        traffic_row(icao24="000001"),
        high,
        {**high, "timestamp": high["timestamp"] + 1000},
        traffic_row(icao24="000001", altitude=124_200),
        traffic_row(latitude=None),
    ]
    path = write_recording(tmp_path / "some.json", *rows)
    made = load_states(warehouse, read_recording(path, DEMO_START, DEMO_END))
    assert (made.loaded_rows, made.rejected_rows) == (1, 4)


def allow_high(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schema.LIMITS, "baro_altitude_m", (-1_500, 50_000))


def test_rejected_rows_that_are_good_by_now_are_loaded_once(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rejected(warehouse, tmp_path)
    before = query(warehouse, "select * from raw.rejected_states order by payload::text")
    assert replay.replay_rejected(warehouse) == replay.Replayed(4, 0, 0)
    assert query(warehouse, "select * from raw.rejected_states order by payload::text") == before

    allow_high(monkeypatch)
    first = replay.replay_rejected(warehouse, run_id="r2")
    assert first == replay.Replayed(4, 2, 1)
    assert first.left_rows == 1
    assert query(
        warehouse,
        "select source, window_start_at, window_end_at, read_rows, loaded_rows, duplicate_rows, "
        "rejected_rows, run_id from raw.ingest_batches order by batch_id desc limit 1",
    ) == [("recording:some", DEMO_START, DEMO_START + timedelta(seconds=1), 0, 2, 1, -3, "r2")]
    assert query(warehouse, "select reason from raw.rejected_states") == [("no position",)]
    assert query(
        warehouse,
        "select icao24, callsign, round(baro_altitude_m), is_on_ground, squawk, source "
        "from raw.opensky_states where time_position > %s",
        DEMO_START,
    ) == [("3c6444", "DLH9CK", 37856.0, False, "0021", "recording:some")]
    assert accounts(warehouse).is_balanced

    assert replay.replay_rejected(warehouse) == replay.Replayed(1, 0, 0)
    assert query(warehouse, "select count(*) from raw.ingest_batches") == [(2,)]
    path = tmp_path / "some.json"
    again = load_states(warehouse, read_recording(path, DEMO_START, DEMO_END))
    assert again.duplicate_rows == again.read_rows == 5
    assert accounts(warehouse).is_balanced


def test_only_rows_with_the_named_reason_are_replayed_page_by_page(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rejected(warehouse, tmp_path)
    allow_high(monkeypatch)
    monkeypatch.setattr(replay, "PAGE_ROWS", 1)
    assert replay.replay_rejected(warehouse, reason="no posi%") == replay.Replayed(1, 0, 0)
    assert replay.replay_rejected(warehouse, reason="%altitude%") == replay.Replayed(3, 2, 1)
    assert accounts(warehouse).is_balanced


def test_a_replay_that_fails_changes_nothing(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rejected(warehouse, tmp_path)
    allow_high(monkeypatch)

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("skyops_assets.sources.opensky.loading.replay.bulk.record_batch", fail)
    with pytest.raises(ZeroDivisionError):
        replay.replay_rejected(warehouse)
    assert query(warehouse, "select count(*) from raw.rejected_states") == [(4,)]
    assert accounts(warehouse).is_balanced


@pytest.mark.parametrize(
    "payload",
    [None, [], "text", {"a": 1}, {"html": "<html>"}, traffic_row(latitude="north"),
     traffic_row(timestamp="noon"), traffic_row(timestamp=1e300), traffic_row(onground="maybe")],
)  # fmt: skip
def test_a_payload_that_no_reader_takes_is_left(payload: object) -> None:
    assert replay.read_payload(payload) is None


def test_a_payload_is_read_as_its_recording_is(tmp_path: Path) -> None:
    rows = [traffic_row(callsign=" AB ", squawk=None), traffic_row(altitude=None)]
    path = write_recording(tmp_path / "some.json", *rows)
    whole = read_recording(path, DEMO_START, DEMO_END).states.to_pylist()
    found = [replay.read_payload(row) for row in rows]
    assert [one.to_pylist()[0] for one in found if one] == whole
    # What JSON does not know was kept as text.
    # What the reader of recordings cannot read stays where it is.
    assert replay.read_payload(traffic_row(latitude="inf")) is None


# Rejected rows of REST responses, and whole responses

START = int(DEMO_START.timestamp())
BATCHES = (
    "select read_rows::int, loaded_rows::int, duplicate_rows::int, rejected_rows::int, "
    "window_start_at from raw.ingest_batches order by batch_id"
)
REASONS = "select reason, count(*)::int from raw.rejected_states group by 1 order by 1"


def rest_row(**changes: Any) -> list[Any]:
    """A row of a response, at the demo's start."""
    row = {
        "icao24": "39de4f", "callsign": "AFR1 ", "origin_country": "France",
        "time_position": START, "last_contact": START, "longitude": 2.5, "latitude": 49.0,
        "baro_altitude": 100.0, "on_ground": False, "velocity": 80.0, "true_track": 87,
        "vertical_rate": 0.0, "sensors": None, "geo_altitude": None, "squawk": "0021",
        "spi": False, "position_source": 0,
    }  # fmt: skip
    assert changes.keys() <= row.keys()
    return list({**row, **changes}.values())


def load_answer(warehouse: Warehouse, *rows: Any) -> Batch:
    body = json.dumps({"time": START, "states": rows}).encode()
    return load_states(warehouse, read_response(body))


def test_rows_of_answers_that_are_good_by_now_are_loaded_once(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load_answer(
        warehouse,
        rest_row(icao24="000001"),
        rest_row(baro_altitude=40_000),
        rest_row(icao24="000001", baro_altitude=40_000),
        rest_row(latitude=None),
        rest_row(velocity="fast"),
        rest_row()[:16],
    )
    assert (made.loaded_rows, made.rejected_rows) == (1, 5)
    assert replay.replay_rejected(warehouse) == replay.Replayed(5, 0, 0)
    allow_high(monkeypatch)
    found = replay.replay_rejected(warehouse)
    assert (found, found.left_rows) == (replay.Replayed(5, 1, 1), 3)
    assert query(warehouse, BATCHES)[1:] == [(0, 1, 1, -2, DEMO_START)]
    assert query(
        warehouse,
        "select callsign, baro_altitude_m, squawk, source from raw.opensky_states "
        "where icao24 = '39de4f'",
    ) == [("AFR1", 40_000.0, "0021", SOURCE)]
    assert accounts(warehouse).is_balanced
    assert replay.replay_rejected(warehouse) == replay.Replayed(3, 0, 0)
    assert accounts(warehouse).stored_rows == 2


def test_a_row_of_an_answer_is_no_later_than_its_rejection(
    warehouse: Warehouse, query: Query
) -> None:
    """Both were rejected for their speed, and both speeds are since fixed."""
    at = int(datetime.now(UTC).timestamp()) + 3600
    rows = [rest_row(velocity="fast"), rest_row(velocity="fast", time_position=at)]
    body = json.dumps({"time": at, "states": rows}).encode()
    load_states(warehouse, read_response(body))
    query(
        warehouse,
        "update raw.rejected_states set payload = jsonb_set(payload, '{9}', '80')",
    )
    assert replay.replay_rejected(warehouse) == replay.Replayed(2, 1, 0)
    assert query(warehouse, "select payload -> 3 from raw.rejected_states") == [(at,)]


@pytest.mark.parametrize(
    "odd",
    [
        {"time_position": START + 60},
        {"last_contact": START + 60},
        {"callsign": "A\0"},
        {"callsign": "\ud800"},
        {"callsign": math.inf},
        {"squawk": math.inf},
        {"origin_country": math.nan},
    ],
)
def test_a_row_whose_payload_hides_its_fault_stays(
    warehouse: Warehouse, odd: dict[str, Any]
) -> None:
    assert load_answer(warehouse, rest_row(**odd)).rejected_rows == 1
    assert replay.replay_rejected(warehouse) == replay.Replayed(1, 0, 0)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("timestamp", datetime.now(UTC) + timedelta(hours=30)),
        ("callsign", b"AFR\xe9"),
        ("squawk", math.inf),
        ("callsign", "A\0"),
        ("callsign", datetime(2021, 10, 7)),
    ],
)
def test_a_row_of_a_table_whose_payload_hides_its_fault_stays(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, odd: Any
) -> None:
    path = tmp_path / "some.parquet"
    row = traffic_row(timestamp=DEMO_START) | {name: odd}
    pq.write_table(pa.Table.from_pylist([row]), path)
    [chunk] = iter_recording(path)
    assert load_states(warehouse, chunk).rejected_rows == 1
    # As if a day had passed.
    monkeypatch.setattr(
        "skyops_assets.sources.opensky.reading.formats.FUTURE_TOLERANCE", timedelta(days=2)
    )
    assert replay.replay_rejected(warehouse) == replay.Replayed(1, 0, 0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_answer_that_can_be_read_by_now_is_as_if_it_always_could(
    warehouse: Warehouse, query: Query, pack: Callable[[bytes], bytes]
) -> None:
    load_answer(warehouse, rest_row(icao24="000001"), rest_row(latitude=None))
    rows = [
        rest_row(),
        rest_row(icao24="000001"),
        rest_row(icao24="000002"),
        rest_row(latitude=None),
        rest_row(latitude="north"),
        None,
    ]
    body = pack(json.dumps({"time": START, "states": rows}).encode())
    for _ in range(2):
        keep_malformed_response(warehouse, body, "a reason since fixed", SOURCE)
    found = replay.replay_rejected(warehouse)
    assert found == replay.Replayed(2, 2, 2, 1, 6, 2)
    assert found.left_rows == 1
    assert query(warehouse, BATCHES) == [
        (2, 1, 0, 1, DEMO_START),
        (1, 0, 0, 1, None),
        (1, 0, 1, 0, None),
        (5, 2, 2, 1, DEMO_START),
    ]
    assert query(warehouse, REASONS) == [
        ("latitude is not a number", 1), ("no position", 1), ("the row is not a list", 1),
    ]  # fmt: skip
    assert accounts(warehouse).is_balanced
    assert replay.replay_rejected(warehouse) == replay.Replayed(3, 0, 0)
    assert len(query(warehouse, BATCHES)) == 4
    again = load_states(warehouse, read_response(body))
    assert again.duplicate_rows == again.read_rows == 6


def test_an_answer_without_rows_leaves(warehouse: Warehouse, query: Query) -> None:
    body = json.dumps({"time": START, "states": None}).encode()
    keep_malformed_response(warehouse, body, "a reason since fixed", SOURCE)
    found = replay.replay_rejected(warehouse)
    assert (found, found.left_rows) == (replay.Replayed(1, 0, 0, 1), 0)
    assert query(warehouse, BATCHES)[1:] == [(-1, 0, 0, -1, None)]
    assert accounts(warehouse).is_balanced
    assert accounts(warehouse).read_rows == 0


def test_answers_that_still_are_none_stay_beside_those_that_are_some(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PAGE_ROWS", 1)
    whole = json.dumps({"time": START, "states": [rest_row(), rest_row(squawk=True)]}).encode()
    bodies = [whole, whole[:-9], b"<html>", b"\xff\0", gzip.compress(whole)[:-9], b""]
    for body in bodies:
        keep_malformed_response(warehouse, body, "some reason", SOURCE)
    odd = [{"body_base64": "a"}, {"body": 7}, {"body": "", "more": 1}, ["body"], "body"]
    load_answer(warehouse, *odd)
    found = replay.replay_rejected(warehouse)
    assert found == replay.Replayed(11, 1, 0, 1, 2, 1)
    assert found.left_rows == 10
    assert accounts(warehouse).is_balanced
    assert replay.replay_rejected(warehouse) == replay.Replayed(11, 0, 0)


def test_a_list_in_a_recording_is_no_row_of_an_answer(warehouse: Warehouse, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "some.json", traffic_row(), rest_row())
    for chunk in iter_recording(path):
        load_states(warehouse, chunk)
    assert replay.replay_rejected(warehouse) == replay.Replayed(1, 0, 0)


def test_the_command_says_what_it_did(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from skyops_assets.cli import app
    from skyops_assets.settings import load_settings

    rejected(pointed, tmp_path)
    allow_high(monkeypatch)
    monkeypatch.setattr("skyops_assets.cli.data.prepare", lambda: (load_settings(), pointed))
    run = CliRunner().invoke(app, ["replay-rejected", "--reason", "%outside%"])
    assert run.exit_code == 0
    assert " ".join(run.stdout.split()) == (
        "Checked 3 rejected rows again: 2 are now loaded, 1 were loaded already, 0 stay rejected."
    )
    found = accounts(pointed)
    assert (found.stored_rows, found.stored_rejected_rows) == (3, 1)

    body = json.dumps({"time": START, "states": [rest_row(), rest_row(latitude=None), 7]})
    keep_malformed_response(pointed, body.encode(), "a reason since fixed", SOURCE)
    run = CliRunner().invoke(app, ["replay-rejected"])
    assert " ".join(run.stdout.split()) == (
        "Checked 2 rejected rows again: 1 are now loaded, 0 were loaded already, 1 stay rejected. "
        "Whole responses among them: 1, with 3 rows, of which 2 are now rejected one by one."
    )


def test_rows_of_another_table_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Exception, match=r"raw\.airports cannot be replayed"):
        replay.replay_rejected(warehouse, target="raw.airports")
