"""Files into the warehouse: `skyops load`, its accounts, and what Dagster is told."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyops_assets.quality.reconciliation import accounts
from skyops_assets.sources.opensky.loading.files import FileLoad, load_file
from skyops_assets.sources.opensky.loading.malformed_responses import keep_malformed_response
from skyops_assets.sources.opensky.reading.recordings import DEMO_START, open_recording
from skyops_assets.sources.opensky.reading.rest import MalformedResponse, read_response
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import ServerUnreachable, Warehouse, connection_lost
from tests.support.databases import Query
from tests.support.states import traffic_row, write_recording

START = int(DEMO_START.timestamp())
CONTENT = (
    "select (select md5(string_agg(s::text, '' order by s.icao24, s.time_position, s.source)) "
    "from raw.opensky_states as s), (select md5(string_agg(r::text, '' order by r.payload::text)) "
    "from raw.rejected_states as r)"
)


def history(seconds: int, **changes: Any) -> list[dict[str, Any]]:
    """So many vectors of one aircraft, a second apart."""
    return [
        {"time": START + i, "icao24": "3c6444", "lat": 49.0, "lon": 2.5, "velocity": 80.0,
         "squawk": "0021", "lastposupdate": START + i - 0.5, "lastcontact": START + i - 0.25,
         **changes}
        for i in range(seconds)
    ]  # fmt: skip


def some_recordings(folder: Path) -> Path:
    """A history of 100 good and 2 stale vectors, 2 good and 1 bad traffic rows, 1 REST row of 2."""
    folder.mkdir()
    rows = [*history(100), *history(2, lastcontact=START - 60.0)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "history")
    write_recording(
        folder / "traffic.json",
        traffic_row(),
        traffic_row(timestamp=(START + 3600) * 1000),
        traffic_row(latitude="north"),
    )
    good = ["39de4f", "A\0", "France", START, START, 2.5, 49.0, 100.0, False, 80.0, 87, 0.0, None,
            None, "0021", False, 0]  # fmt: skip
    (folder / "rest.json").write_text(
        json.dumps({"time": START, "states": [[*good[:1], "AFR1", *good[2:]], good]})
    )
    return folder


def counts(one: FileLoad) -> tuple[int, int, int, int]:
    return one.read_rows, one.loaded_rows, one.duplicate_rows, one.rejected_rows


def test_files_of_every_kind_are_loaded_and_again_without_change(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    folder = some_recordings(tmp_path / "in")
    first = {path.name: load_file(warehouse, path) for path in sorted(folder.iterdir())}
    assert {name: counts(one) for name, one in first.items()} == {
        "history": (102, 100, 0, 2),
        "traffic.json": (3, 2, 0, 1),
        "rest.json": (2, 1, 0, 1),
    }
    # Half a second before the hour is its first position.
    assert first["history"].hours == {DEMO_START - timedelta(hours=1): 1, DEMO_START: 99}
    assert [one.error for one in first.values()] == [None] * 3
    before = query(warehouse, CONTENT)
    again = [load_file(warehouse, path) for path in sorted(folder.iterdir())]
    assert [counts(one)[1:] for one in again] == [(0, 102, 0), (0, 2, 0), (0, 3, 0)]
    assert query(warehouse, CONTENT) == before
    assert accounts(warehouse).is_balanced
    kept = query(warehouse, "select reason, payload from raw.rejected_states order by 1")
    assert [reason for reason, _ in kept] == [
        "callsign is not text",
        "latitude is not a number",
        *["stale: last contact over 15 s before its time"] * 2,
    ]
    assert kept[0][1][:3] == ["39de4f", "A\\u0000", "France"]


@pytest.mark.mirror
def test_the_three_real_answers_are_accounted_for_to_the_row(
    warehouse: Warehouse, query: Query, mirror: Path
) -> None:
    """A position that did not change between two responses is one row, and a duplicate."""
    loads = [
        load_file(warehouse, path) for path in sorted((mirror / "opensky_rest").glob("*.json"))
    ]
    assert [one.read_rows for one in loads] == [10_722, 10_710, 10_672]
    assert sum(one.read_rows for one in loads) == 32_104
    assert [counts(one) for one in loads] == REAL
    reasons = "select reason, count(*)::int from raw.rejected_states group by 1 order by 1"
    assert dict(query(warehouse, reasons)) == REAL_REASONS
    assert accounts(warehouse).is_balanced


# Counted from the files by a script of twenty lines that shares no code with this.
REAL = [(10722, 10642, 0, 80), (10710, 9653, 984, 73), (10672, 10100, 486, 86)]
REAL_REASONS = {
    "no time of position": 237,
    "baro_altitude_m outside -1500 to 30480": 1,
    "geo_altitude_m outside -1500 to 30480": 1,
}


def test_a_file_that_breaks_off_keeps_what_was_read(
    warehouse: Warehouse, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyops_assets.sources.opensky.reading.chunks.BLOCK_BYTES", 4096)
    monkeypatch.setattr(open_recording, "__defaults__", (10,))
    rows = [traffic_row(timestamp=(START + i) * 1000) for i in range(200)]
    path = write_recording(tmp_path / "some.json", *rows)
    path.write_text(path.read_text()[:-100])
    found = load_file(warehouse, path)
    assert "some.json cannot be read" in str(found.error)
    assert 0 < found.loaded_rows < 200
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(found.loaded_rows,)]
    write_recording(path, *rows)
    assert counts(load_file(warehouse, path)) == (
        200, 200 - found.loaded_rows, found.loaded_rows, 0,
    )  # fmt: skip


def test_the_asset_reads_a_folder_each_source_for_itself(
    pointed: Warehouse, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource

    monkeypatch.setenv("SKYOPS_RECORDING", str(some_recordings(tmp_path / "in")))
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(
            [opensky_states], instance=instance, partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()},
        )  # fmt: skip
    [event] = made.asset_materializations_for_node("raw__opensky_states")
    # Of 107, two vectors lie before the hour and one traffic row after it.
    assert event.metadata["read_rows"].value == 104
    found = query(
        pointed, "select source, count(*)::int from raw.opensky_states group by 1 order by 1"
    )
    assert found == [("opensky:history", 99), ("opensky:rest", 1), ("recording:traffic", 1)]
    assert accounts(pointed).is_balanced


@pytest.mark.parametrize(
    "body",
    [b'{"time": 1, "states": [["3c64', b"<html>\xc3\x9c</html>", b"\xff\0", b'{"states": "\0"}'],
)
def test_a_bad_answer_is_kept_whole_and_once(
    warehouse: Warehouse, query: Query, body: bytes
) -> None:
    import base64

    with pytest.raises(MalformedResponse) as caught:
        read_response(body, "rest")
    error = caught.value
    made = [keep_malformed_response(warehouse, error.body, error.reason, "rest") for _ in range(2)]
    assert [(one.rejected_rows, one.duplicate_rows) for one in made] == [(1, 0), (0, 1)]
    [(payload, reason)] = query(warehouse, "select payload, reason from raw.rejected_states")
    text = payload.get("body")
    assert (text.encode() if text else base64.b64decode(payload["body_base64"])) == body
    assert reason == error.reason
    assert accounts(warehouse).is_balanced


def test_dagster_is_told_of_the_hours_that_are_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from skyops_assets.client import report_loaded

    early = datetime(2018, 10, 7, 12, tzinfo=UTC)
    present = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    future = present + timedelta(hours=2)
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr("dagster.DagsterInstance.get", lambda: instance)
        monkeypatch.setattr(type(instance), "__exit__", lambda *_: None)
        hours = {DEMO_START: {"good_rows": 7}, early: {}, present: {}, future: {}}
        assert report_loaded(hours, "test") == [early, future]
        key = dg.AssetKey(["raw", "opensky_states"])
        # What follows from hours that the graph does not show is to be built too.
        newest, latest, first, oldest = instance.fetch_materializations(key, limit=10).records
        assert newest.partition_key == f"{future:%Y-%m-%d-%H:%M}"
        assert latest.partition_key == f"{present:%Y-%m-%d-%H:%M}"
        assert oldest.partition_key == "2018-10-07-12:00"
        found = first.event_log_entry.asset_materialization
        assert found is not None
        assert found.partition == "2021-10-07-12:00"
        assert found.metadata["good_rows"].value == 7
        assert found.metadata["loaded_by"].value == "test"


def test_rows_are_loaded_though_dagster_cannot_be_told(
    pointed: Warehouse, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.cli import data
    from skyops_assets.errors import SkyOpsError

    def fail(*_: Any) -> None:
        raise OSError("no storage")

    monkeypatch.setattr("skyops_assets.client.report_loaded", fail)
    monkeypatch.setattr("skyops_assets.cli.data.prepare", lambda: (None, pointed))
    path = write_recording(tmp_path / "some.json", traffic_row())
    with pytest.raises(
        SkyOpsError, match=r"1 loaded hours .* reported to Dagster \(no storage\)\. Load the"
    ):
        data.load([path])
    assert query(pointed, "select count(*) from raw.opensky_states") == [(1,)]


def test_a_warehouse_that_goes_away_within_a_load_is_what_the_command_tells(
    pointed: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from skyops_assets.cli import data

    def lose(*_: Any) -> None:
        raise connection_lost(pointed, "no words")

    def told(*_: Any) -> None:
        raise AssertionError("its storage is on the same server")

    monkeypatch.setattr("skyops_assets.client.report_loaded", told)
    monkeypatch.setattr("skyops_assets.sources.opensky.loading.files.load_states", lose)
    monkeypatch.setattr("skyops_assets.cli.data.prepare", lambda: (None, pointed))
    path = write_recording(tmp_path / "some.json", traffic_row())
    with pytest.raises(ServerUnreachable, match="was lost"):
        data.load([path])
    assert "some.json" in capsys.readouterr().out


def settings_of(home: Path, warehouse: Warehouse) -> dict[str, str]:
    """The environment of a command on this warehouse."""
    return {
        **os.environ,
        "SKYOPS_HOME": str(home),
        "SKYOPS_DATABASE_URL": warehouse.libpq(),
        "SKYOPS_DAGSTER_DATABASE": f"{warehouse.url.database}_dagster",
    }


def command(
    home: Path, warehouse: Warehouse, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", *arguments],
        env={**settings_of(home, warehouse), **variables},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_a_load_brings_airports_and_runways_and_dagster_knows(
    warehouse: Warehouse, query: Query, home: Path, tmp_path: Path
) -> None:
    folder = some_recordings(tmp_path / "in")
    done = command(home, warehouse, "load", "--json", str(folder), SKYOPS_DATA_MIRROR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert sum(one["loaded_rows"] for one in json.loads(done.stdout)) > 100
    assert "Note: Only the runways around Paris are known" in done.stderr
    assert query(warehouse, "select count(*) > 10000 from raw.airports") == [(True,)]
    assert query(warehouse, "select count(*) from raw.runways") == [(56,)]
    dagster = replace(
        warehouse, url=warehouse.url.set(database=f"{warehouse.url.database}_dagster")
    )
    materialized = query(
        dagster, "select distinct asset_key from event_logs "
        "where dagster_event_type = 'ASSET_MATERIALIZATION'"
    )  # fmt: skip
    assert {'["raw", "airports"]', '["raw", "runways"]'} <= {key for (key,) in materialized}
    again = command(home, warehouse, "load", str(folder), SKYOPS_DATA_MIRROR=str(tmp_path))
    assert "raw/airports" not in again.stdout + again.stderr


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_what_is_said_of_a_single_file_is_of_that_file(
    warehouse: Warehouse, home: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.json"
    cut.write_text('{"time": 1633608000, "states": [["3c64')
    said = command(home, warehouse, "load", str(cut)).stderr
    assert "Correct the file and load it again" in said
    assert "others" not in said
    missing = command(home, warehouse, "load", str(tmp_path / "no-such"))
    assert missing.stderr.endswith("no-such does not exist: correct the path.\n")


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_a_stopped_load_says_what_stays_and_ends_with_130(
    warehouse: Warehouse, query: Query, home: Path, tmp_path: Path
) -> None:
    """Stopped while it waits for the table, which the test has locked."""
    folder = some_recordings(tmp_path / "in")
    with bulk.transaction(warehouse) as cursor:
        cursor.execute("lock table raw.opensky_states in exclusive mode")
        with subprocess.Popen(
            [sys.executable, "-m", "skyops_assets.cli", "load", str(folder)],
            env=settings_of(home, warehouse),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
            while query(warehouse, f"{waiting}and datname = current_database()") == [(0,)]:
                assert process.poll() is None
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("Stopped: 1 of ")
    assert "Traceback" not in out + err


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_the_command_goes_on_after_a_bad_file_and_says_so(
    warehouse: Warehouse,
    query: Query,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SKYOPS_FIRST_HOUR", "2021-10-07T12:00")
    folder = some_recordings(tmp_path / "in")
    (folder / "a-note.txt").write_text("nothing, to see\n")
    (folder / "cut.json").write_text('{"time": 1633608000, "states": [["3c64')
    done = command(home, warehouse, "load", str(folder))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Not a recording: The file" in done.stderr
    assert "a-note.txt has no column" in done.stderr
    assert "cut off" in done.stderr
    assert "1 of 5 files could not be read to their end" in done.stderr
    assert "Reported to Dagster: 3 hours" in done.stdout
    assert "The graph does not show 1 of them, from 2021-10-07 11:00 to" in done.stdout
    lines = {
        Path(cells[1].strip()).name: [cell.strip() for cell in cells[2:7]]
        for cells in (line.split("│") for line in done.stdout.splitlines())
        if len(cells) > 7
    }
    assert lines["history"] == ["OpenSky history", "102", "100", "0", "2"]
    assert lines["cut.json"] == ["OpenSky REST response", "1", "0", "0", "1"]
    before = query(warehouse, CONTENT)
    assert command(home, warehouse, "load", str(folder)).returncode == 1
    assert query(warehouse, CONTENT) == before
    assert accounts(warehouse).is_balanced


def weekly_folder(folder: Path) -> Path:
    """A week of OpenSky's, as it comes: an archive's texts beside the hours."""
    folder.mkdir()
    (folder / "README.txt").write_text("State vectors of one hour.\nSee the terms of use.\n")
    (folder / "LICENSE.txt").write_text("Terms of use, research only.\n")
    rows = [",".join(map(str, row.values())) for row in history(50)]
    text = "\n".join([",".join(history(1)[0]), *rows])
    (folder / "states_2021-10-07-12.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_files_that_are_no_recordings_do_not_keep_the_asset_from_those_beside_them(
    pointed: Warehouse, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource

    folder = weekly_folder(tmp_path / "week")
    write_recording(folder / "cut.json", traffic_row(icao24="abcdef"), traffic_row())
    (folder / "cut.json").write_text((folder / "cut.json").read_text()[:-30])
    (folder / "response.json").write_text('{"time": 1633608000, "states": [["3c64')
    monkeypatch.setenv("SKYOPS_RECORDING", str(folder))
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(
            [opensky_states], instance=instance, partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()},
        )  # fmt: skip
        logs = [
            record.user_message for record in instance.all_logs(made.run_id)
            if record.level == logging.WARNING
        ]  # fmt: skip
    told = {name: [text for text in logs if name in text] for name in os.listdir(folder)}
    assert {name: len(texts) for name, texts in told.items()} == {
        "README.txt": 1, "LICENSE.txt": 1, "states_2021-10-07-12.csv.gz": 0, "cut.json": 1,
        "response.json": 1,
    }  # fmt: skip
    assert "cut.json cannot be read" in told["cut.json"][0]
    # The first of the fifty positions is half a second before the hour.
    assert query(pointed, "select source, count(*)::int from raw.opensky_states group by 1") == [
        ("opensky:history", 49), ("recording:cut", 1),
    ]  # fmt: skip
    assert query(pointed, "select count(*)::int from raw.rejected_states") == [(1,)]
    assert accounts(pointed).is_balanced


@pytest.mark.parametrize("content", ["nothing, to see", '[{"icao24": "3c65d7", "time"'])
def test_the_asset_fails_where_there_is_nothing_else(
    pointed: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource
    from skyops_assets.errors import SkyOpsError

    (tmp_path / "some.json").write_text(content)
    for path in (tmp_path, tmp_path / "some.json"):
        monkeypatch.setenv("SKYOPS_RECORDING", str(path))
        with (
            dg.DagsterInstance.ephemeral() as instance,
            pytest.raises(SkyOpsError, match=r"some\.json"),
        ):
            dg.materialize(
                [opensky_states], instance=instance, partition_key="2021-10-07-12:00",
                resources={"warehouse": WarehouseResource()},
            )  # fmt: skip


def test_a_recording_whose_rows_are_nearly_all_rejected_is_told_of_each_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    rows = [traffic_row(timestamp=f"07.10.2021 12:00:{i:02}") for i in range(19)]
    path = write_recording(tmp_path / "some.json", *rows, traffic_row())
    for counts_now in ((20, 1, 0, 19), (20, 0, 20, 0)):
        made = load_file(warehouse, path)
        assert counts(made) == counts_now
        assert made.failure == made.nearly_all_rejected
        said = str(made.failure)
        assert "some.json: 19 of 20 rows are rejected, 19 of them because timestamp is no" in said
        assert '"timestamp": "07.10.2021 12:00:00"' in said
        assert "Write times as ISO 8601" in said
    assert load_file(warehouse, write_recording(tmp_path / "b.json", *rows[:8], traffic_row())
                     ).failure is None  # fmt: skip


def test_answers_without_positions_are_no_fault(warehouse: Warehouse, tmp_path: Path) -> None:
    row = ["39de4f", None, "France", None, START, None, None, None, False, None, None, None, None,
           None, None, False, 0]  # fmt: skip
    path = tmp_path / "response.json"
    path.write_text(json.dumps({"time": START, "states": [row]}))
    made = load_file(warehouse, path)
    assert (counts(made), made.failure) == ((1, 0, 0, 1), None)


def test_decimal_commas_without_quotes_are_told_as_one_reason(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    lines = [f"{START + i},3c65d7,48,8{i},2,3{',7' * (i % 3)}" for i in range(12)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["timestamp,icao24,latitude,longitude", *lines]))
    said = str(load_file(warehouse, path).failure)
    assert "12 of 12 rows are rejected, 12 of them because the line has too few or too" in said
    assert f"The first of these: {lines[0]}. Quote values" in said


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_exit_codes_say_whether_all_was_loaded(
    warehouse: Warehouse, home: Path, tmp_path: Path
) -> None:
    folder = weekly_folder(tmp_path / "week")
    (folder / "r\udce9union.csv").write_text("timestamp,icao24,latitude,longitude\n")
    done = command(home, warehouse, "load", str(folder))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert done.stderr.count("Not a recording: ") == 2
    assert r"r\xe9union.csv" in done.stdout
    done = command(home, warehouse, "load", str(folder / "README.txt"))
    assert done.returncode == 1
    assert "There is no recording among these files" in done.stderr
    path = write_recording(tmp_path / "bad.json", traffic_row(timestamp="noon"))
    for told in ("", "(1 rejected before)"):
        done = command(home, warehouse, "load", str(path), str(folder))
        assert done.returncode == 1
        assert told in done.stdout
        assert "bad.json: 1 of 1 rows are rejected" in done.stderr
        assert "1 of 5 files had nearly all rows rejected" in done.stderr
    assert command(home, warehouse, "load", "--folder", str(folder)).returncode == 2
    shown = " ".join(command(home, warehouse, "load", "--help").stdout.split())
    assert "Exit code 0: all recordings are loaded. 1: a file that was named" in shown


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["history.csv", "traffic.json", "lines", "history", "rest.json"])
def test_a_damaged_file_is_accounted_for_and_loading_it_again_changes_nothing(
    shared_warehouse: Warehouse, query: Query, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    query(
        shared_warehouse,
        "truncate raw.opensky_states, raw.rejected_states, raw.ingest_batches cascade",
    )
    folder = tmp_path / "in"
    if not folder.exists():
        some_recordings(folder)
        texts = [",".join(map(str, row.values())) for row in history(30)]
        (folder / "history.csv").write_text("\n".join([",".join(history(1)[0]), *texts]))
        (folder / "lines").write_text("\n".join(map(json.dumps, history(30))))
    body = (folder / name).read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        more = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b"\0", b"\xe9"])))
        body = body[:at] + more + body[at + data.draw(st.integers(0, 30)) :]
    path = tmp_path / name
    path.write_bytes(body)
    first = load_file(shared_warehouse, path)
    read, loaded, duplicates, rejected = counts(first)
    assert read == loaded + duplicates + rejected
    assert read or first.error or first.foreign
    before = query(shared_warehouse, CONTENT)
    assert counts(load_file(shared_warehouse, path)) == (read, 0, read, 0)
    assert query(shared_warehouse, CONTENT) == before
    assert accounts(shared_warehouse).is_balanced
