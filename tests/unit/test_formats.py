"""Files of every kind: known by their columns, read exactly, row by row accounted for."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.json_files import _cut
from skyops_assets.sources.opensky.reading.recording import JSON_ROW, Recording, by_source
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    find_recordings,
    iter_recording,
    open_recording,
)
from tests.support.states import traffic_row

START = int(DEMO_START.timestamp())
HISTORY: dict[str, Any] = {
    "time": START + 5, "icao24": "3c6444", "lat": 49.01, "lon": 2.55, "velocity": 80.0,
    "heading": 265.0, "vertrate": -3.5, "callsign": "DLH9CK  ", "onground": False,
    "alert": False, "spi": True, "squawk": "0021", "baroaltitude": 1200.0, "geoaltitude": 1230.0,
    "lastposupdate": START + 3.25, "lastcontact": START + 4.5, "hour": START,
}  # fmt: skip

Write = Callable[[Path, list[dict[str, Any]]], Path]


def as_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return path


def as_gzipped_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress(as_csv(path, rows).read_bytes()))
    return path


def as_semicolons(path: Path, rows: list[dict[str, Any]]) -> Path:
    return as_csv(path, rows, ";")


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_categories(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    fields = {
        name: column.dictionary_encode() if pa.types.is_string(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    pq.write_table(pa.table(fields), path)
    return path


def as_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def as_json_columns(path: Path, rows: list[dict[str, Any]]) -> Path:
    columns = {name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]}
    path.write_text(json.dumps(columns))
    return path


WRITERS = [as_csv, as_gzipped_csv, as_semicolons, as_parquet, as_categories, as_json,
           as_json_columns]  # fmt: skip


def whole(path: Path, **options: Any) -> Recording:
    return Recording.concat(list(iter_recording(path, **options)))


@pytest.mark.parametrize("write", WRITERS)
def test_a_history_export_is_read_exactly(tmp_path: Path, write: Write) -> None:
    found = whole(write(tmp_path / "no-hint", [HISTORY]))
    assert found.source == "opensky:history"
    assert found.reasons.to_pylist() == [None]
    assert found.states.to_pylist() == [
        {
            "icao24": "3c6444", "callsign": "DLH9CK", "origin_country": None,
            "time_position": DEMO_START + timedelta(seconds=3.25),
            "last_contact": DEMO_START + timedelta(seconds=4.5),
            "longitude_deg": 2.55, "latitude_deg": 49.01, "baro_altitude_m": 1200.0,
            "is_on_ground": False, "velocity_mps": 80.0, "true_track_deg": 265.0,
            "vertical_rate_mps": -3.5, "geo_altitude_m": 1230.0, "squawk": "0021",
            "is_spi": True, "position_source": None, "category": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_a_traffic_table_is_read_exactly(tmp_path: Path, write: Write) -> None:
    found = whole(write(tmp_path / "some.thing", [traffic_row(squawk=None), traffic_row()]))
    assert found.source == "recording:some"
    assert found.reasons.to_pylist() == [None, None]
    row = found.states.to_pylist()[1]
    assert (row["baro_altitude_m"], row["time_position"]) == (4000 * 0.3048, DEMO_START)
    assert row["velocity_mps"] == pytest.approx(160 * 1852 / 3600, abs=1e-12)
    assert row["is_on_ground"] is False
    assert found.states["squawk"].to_pylist() == [None, "0021"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("address", ["000001", "1e1234", "400000"])
def test_an_address_stays_text(tmp_path: Path, write: Write, address: str) -> None:
    for row in (traffic_row(icao24=address), {**HISTORY, "icao24": address}):
        assert whole(write(tmp_path / "a", [row])).states["icao24"].to_pylist() == [address]


@pytest.mark.parametrize(
    "at",
    ["2021-10-07 12:00:00+00:00", "2021-10-07T12:00:00Z", "2021-10-07 12:00:00",
     "2021-10-07 14:00:00+02:00", "2021-10-07 12:00:00.000 UTC", str(START * 1000)],
)  # fmt: skip
def test_a_time_is_epoch_or_iso(tmp_path: Path, at: str) -> None:
    found = whole(as_csv(tmp_path / "a", [traffic_row(timestamp=at)]))
    assert found.states["time_position"].to_pylist() == [DEMO_START]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
def test_a_timestamp_of_parquet_keeps_its_moment(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    naive = DEMO_START if zone else DEMO_START.replace(tzinfo=None)
    table = pa.Table.from_pylist([traffic_row()])
    column = pa.array([naive], pa.timestamp(unit, zone))
    table = table.set_column(table.column_names.index("timestamp"), "timestamp", column)
    pq.write_table(table, tmp_path / "a")
    assert whole(tmp_path / "a").states["time_position"].to_pylist() == [DEMO_START]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lastcontact": START - 10.0}, None),
        ({"lastcontact": START - 10.5}, "stale: last contact over 15 s before its time"),
        ({"lastcontact": None}, None),
        ({"lastposupdate": None}, None),
        ({"lat": None}, "no position"),
        ({"lastposupdate": START + 60.0}, "lastposupdate is later than its time"),
        ({"lastcontact": START + 60.0}, "lastcontact is later than its time"),
        ({"time": 4_000_000_000}, "time is later than the present"),
        ({"velocity": float("nan")}, None),
        ({"heading": 361.0}, "true_track_deg outside 0 to 360"),
    ],
)
@pytest.mark.parametrize("write", [as_csv, as_parquet])
def test_a_history_row_has_its_reason(
    tmp_path: Path, write: Write, changes: dict[str, Any], expected: str | None
) -> None:
    path = write(tmp_path / "a", [{**HISTORY, **changes}, HISTORY])
    assert whole(path).reasons.to_pylist() == [expected, None]


def test_without_the_time_of_the_position_the_vector_s_own_counts(tmp_path: Path) -> None:
    row = {name: value for name, value in HISTORY.items() if not name.startswith("last")}
    found = whole(as_parquet(tmp_path / "a", [row]))
    assert found.states["time_position"].to_pylist() == [DEMO_START + timedelta(seconds=5)]


@pytest.mark.parametrize(("track", "kept"), [(-81, 279), (-180, 180), (0, 0), (360, 360)])
def test_a_track_from_minus_180_is_turned(tmp_path: Path, track: int, kept: int) -> None:
    found = whole(as_json(tmp_path / "a", [traffic_row(track=track)]))
    assert found.states["true_track_deg"].to_pylist() == [kept]


@pytest.mark.parametrize("spelt", ["", "NULL", "nan", "NaN", "None", r"\N"])
def test_csv_spells_a_missing_value_in_many_ways(tmp_path: Path, spelt: str) -> None:
    names = ("callsign", "altitude", "onground", "squawk", "track")
    path = as_csv(tmp_path / "a", [traffic_row(**dict.fromkeys(names, spelt)), traffic_row()])
    found = whole(path)
    assert found.reasons.to_pylist() == [None, None]
    row = found.states.to_pylist()[0]
    kept = ("callsign", "baro_altitude_m", "is_on_ground", "squawk", "true_track_deg")
    assert [row[name] for name in kept] == [None] * 5


def test_a_torn_csv_line_is_kept_with_its_reason(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a", [traffic_row(), traffic_row()])
    path.write_text(path.read_text() + "3c6444,half a li\n")
    found = whole(path)
    assert found.reasons.to_pylist() == [None, None, "the line has 2 fields instead of 11"]
    kept = json.loads(found.rows[JSON_ROW].to_pylist()[2])
    assert kept == {"line": "3c6444,half a li"}


def test_what_is_no_object_among_json_records_is_kept_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps([traffic_row(), 7, None, traffic_row()]))
    found = whole(path)
    assert found.reasons.to_pylist() == [None, None, *["the row is not an object"] * 2]


def test_rest_snapshots_are_known_whatever_they_are_called(tmp_path: Path) -> None:
    body = json.dumps({"time": START, "states": None}).encode()
    for content in (body, gzip.compress(body)):
        (tmp_path / "positions.csv").write_bytes(content)
        opened = open_recording(tmp_path / "positions.csv")
        assert opened.format == "OpenSky REST response"
        assert [len(chunk.states) for chunk in opened.chunks] == [0]


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b'[{"a": 1}]', b'{"a": {"0": 1}}', b"[]", b"\x00\x01", b"PAR1rest",
     b"# A heading\n", gzip.compress(b"a,b\n1,2\n", mtime=0), "Straße,b\n".encode("latin-1")],
)  # fmt: skip
def test_another_file_is_refused_with_what_is_accepted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SkyOpsError, match=r"SkyOps reads OpenSky REST responses.*baro|reads"):
        whole(tmp_path / "a")


def test_the_columns_of_an_unknown_table_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("icao24,timestamp,latitude,breadth\n")
    with pytest.raises(SkyOpsError, match=r"has no column longitude.*timestamp, latitude, breadth"):
        whole(tmp_path / "a")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("icao24,time,lat,lon,lat\n")
    with pytest.raises(SkyOpsError, match="the column lat twice"):
        whole(tmp_path / "a")


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_json])
def test_chunks_are_the_file(tmp_path: Path, write: Write) -> None:
    rows = [traffic_row(timestamp=(START + i) * 1000, track=i % 360) for i in range(40_000)]
    path = write(tmp_path / "a", rows)
    chunks = list(iter_recording(path, chunk_rows=10_000))
    assert len(chunks) > 1
    assert max(len(chunk.states) for chunk in chunks) < 60_000
    found = Recording.concat(chunks)
    assert found.states["true_track_deg"].to_pylist() == [row["track"] for row in rows]
    assert len(found.rows) == len(rows)
    part = whole(path, start=DEMO_START + timedelta(seconds=5), end=DEMO_END, chunk_rows=500)
    assert part.states["true_track_deg"].to_pylist()[:2] == [5, 6]


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=4), min_size=1), max_size=6),
       st.integers(0, 200))  # fmt: skip
def test_json_is_cut_only_between_elements(records: list[dict[str, str]], at: int) -> None:
    text = json.dumps(records, separators=(",", ":"))[1:-1]
    cut, elements = _cut(text[:at])
    assert elements == records[: len(elements)]
    assert json.loads("[" + text[cut:] + "]") == records[len(elements) :]


def test_folders_are_searched_and_notes_of_writers_left_out(tmp_path: Path) -> None:
    for name in ("b/two.csv", "b/.hidden", "b/_SUCCESS", ".git/x", "a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert find_recordings([tmp_path]) == [tmp_path / "a.csv", tmp_path / "b/two.csv"]
    assert find_recordings([tmp_path / "b/.hidden"]) == [tmp_path / "b/.hidden"]
    with pytest.raises(SkyOpsError, match="nowhere does not exist"):
        find_recordings([tmp_path, tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SkyOpsError, match="no file in"):
        find_recordings([tmp_path / "empty"])


def test_a_folder_is_read_as_one_recording_for_each_source(tmp_path: Path) -> None:
    as_csv(tmp_path / "a", [traffic_row()])
    as_json(tmp_path / "b", [HISTORY])
    as_parquet(tmp_path / "c", [{**HISTORY, "icao24": "3c6445"}])
    found = by_source(iter_recording(tmp_path, DEMO_START, DEMO_END))
    assert {one.source: one.states["icao24"].to_pylist() for one in found} == {
        "recording:a": ["3c6444"],
        "opensky:history": ["3c6444", "3c6445"],
    }
    assert [len(one.rows) for one in found] == [1, 2]


@pytest.mark.parametrize("write", [as_csv, as_parquet])
def test_a_table_without_rows_is_a_recording_without_rows(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "a", [HISTORY])
    if write is as_csv:
        path.write_text(path.read_text().splitlines()[0] + "\n")
    else:
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert [len(chunk.reasons) for chunk in iter_recording(path)] == [0]


# Not ru_maxrss: a child begins with that of the process that made it.
PEAK = """
    import re, sys
    from pathlib import Path
    from skyops_assets.sources.opensky.reading.recordings import iter_recording
    rows = sum(len(c.reasons) for c in iter_recording(Path(sys.argv[1]), chunk_rows=50_000))
    status = Path("/proc/self/status").read_text()
    print(rows, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    import textwrap

    import pyarrow.csv as pacsv

    peaks = []
    for rows in (150_000, 600_000):
        table = pa.table(
            {
                name: pa.array([START + i // 100 for i in range(rows)])
                if name == "time"
                else pa.repeat(value, rows)
                for name, value in HISTORY.items()
                if not name.startswith("last")
            }
        )
        path = tmp_path / f"{rows}"
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=50_000)
        else:
            pacsv.write_csv(table, path)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PEAK), str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        read, peak = map(int, done.stdout.split())
        assert read == rows
        peaks.append(peak)
    # 12 MB (parquet) and 39 MB (CSV) measured on top of some 190.
    assert peaks[1] - peaks[0] < 100, peaks


def test_the_present_is_not_the_future(tmp_path: Path) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    found = whole(as_json(tmp_path / "a", [traffic_row(timestamp=now)]))
    assert found.reasons.to_pylist() == [None]
