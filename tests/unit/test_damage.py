"""Damage stays where it is: each reader gives every row but the one that is damaged.

A file is `ROWS` vectors of one aircraft, a second apart, so that a row is known by its time.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources import csv_tables
from skyops_assets.sources.opensky.reading.formats import NoRecording
from skyops_assets.sources.opensky.reading.recording import Recording, row_texts
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_START,
    find_recordings,
    iter_recording,
    open_recording,
)
from skyops_assets.sources.opensky.reading.rest import MalformedResponse
from skyops_assets.sources.text import pieces

START = int(DEMO_START.timestamp())
ROWS = 60
NAMES = ("time", "icao24", "lat", "lon", "velocity", "callsign", "onground", "alert")


def row(second: int) -> dict[str, Any]:
    return {
        "time": START + second, "icao24": "3c65d7", "lat": f"48.{second:05}", "lon": "2.3",
        "velocity": "120.5", "callsign": "DLH5HR", "onground": "false", "alert": "no",
    }  # fmt: skip


def lines(rows: int = ROWS, sign: str = ",") -> list[str]:
    return [sign.join(NAMES), *(sign.join(map(str, row(i).values())) for i in range(rows))]


def write(path: Path, text: list[str] | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else ("\n".join(text) + "\n").encode())
    return path


class Read:
    """What a file gives: the seconds of its good rows, its bad ones, and what ends it."""

    def __init__(self, path: Path, chunk_rows: int = 200_000) -> None:
        self.good: list[int] = []
        self.reasons: list[str] = []
        self.payloads: list[Any] = []
        self.rows = 0
        self.error: str | None = None
        try:
            for chunk in open_recording(path, chunk_rows).chunks:
                self._take(chunk)
        except SkyOpsError as error:
            self.error = str(error)

    def _take(self, chunk: Recording) -> None:
        assert len(chunk.rows) == len(chunk.states) == len(chunk.reasons)
        self.rows += len(chunk.states)
        reasons = chunk.reasons.to_pylist()
        for at, reason in zip(chunk.states["time_position"].to_pylist(), reasons, strict=True):
            if reason is None:
                self.good.append(round((at - DEMO_START).total_seconds()))
            else:
                self.reasons.append(reason)
        bad = chunk.rows.filter(pc.is_valid(chunk.reasons))
        self.payloads += [json.loads(text) for text in row_texts(bad)]


def all_but(*seconds: int, rows: int = ROWS) -> list[int]:
    return [i for i in range(rows) if i not in seconds]


# Quotes


@pytest.mark.parametrize("second", [0, 30, ROWS - 1])
@pytest.mark.parametrize("place", ["DLH5HR", "48.", "3c65d7", "no", "false"])
@pytest.mark.parametrize("where", ["before", "within", "after"])
def test_one_stray_quote_costs_its_line(
    tmp_path: Path, second: int, place: str, where: str
) -> None:
    text = lines()
    cut = {"before": 0, "within": len(place) // 2, "after": len(place)}[where]
    text[second + 1] = text[second + 1].replace(place, place[:cut] + '"' + place[cut:], 1)
    found = Read(write(tmp_path / "a.csv", text))
    assert found.error is None
    assert sorted(found.good) == all_but(second)
    assert found.reasons == ["the quotes of the line do not pair"]
    assert found.payloads == [{"line": text[second + 1]}]


@pytest.mark.parametrize("seconds", [(3, 4), (3, 50), (0, 59), (10, 20, 30), (5, 6, 7, 8)])
@pytest.mark.parametrize("kind", ["opening", "closing", "both ways"])
def test_stray_quotes_that_would_pair_over_lines_cost_only_their_lines(
    tmp_path: Path, seconds: tuple[int, ...], kind: str
) -> None:
    text = lines()
    for number, second in enumerate(seconds):
        is_opening = kind == "opening" or (kind == "both ways" and number % 2 == 0)
        text[second + 1] = text[second + 1].replace("DLH5HR", '"LH5HR' if is_opening else 'DLH5H"')
    found = Read(write(tmp_path / "a.csv", text))
    assert sorted(found.good) == all_but(*seconds)
    assert len(found.reasons) == len(seconds)


@pytest.mark.parametrize("second", [1, 6_999, 30_000, 59_998])
def test_a_stray_quote_in_a_long_file_costs_its_line(tmp_path: Path, second: int) -> None:
    text = lines(60_000)
    text[second + 1] = text[second + 1].replace("DLH5HR", '"LH5HR')
    found = Read(write(tmp_path / "a.csv", text))
    assert found.rows == 60_000
    assert sorted(found.good) == all_but(second, rows=60_000)


@pytest.mark.parametrize("shift", range(-3, 4))
def test_a_quote_at_the_edge_of_a_block_costs_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    text = lines()
    text[31] = text[31].replace("DLH5HR", '"LH5HR')
    at = "\n".join(text).index('"')
    monkeypatch.setattr(pieces, "__defaults__", (at + shift,))
    found = Read(write(tmp_path / "a.csv", text))
    assert sorted(found.good) == all_but(30)


@pytest.mark.parametrize("size", [97, 311, 1 << 19])
@pytest.mark.parametrize(
    "value",
    ["a,b", 'say ""so""', "two\nlines", "two,\nlines\n\nand, more", "", " blanks ", '""', "x\r\ny"],
)
def test_quoted_values_are_read_whatever_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, value: str
) -> None:
    monkeypatch.setattr(pieces, "__defaults__", (size,))
    text = lines()
    for second in (0, 1, 7, ROWS - 1):
        # One in the middle of a row and one at its end, in two columns that nobody reads.
        text[second + 1] = text[second + 1].removesuffix("no") + f'"{value}"'
    path = write(tmp_path / "a.csv", text)
    found = Read(path)
    assert (found.error, found.reasons) == (None, [])
    assert sorted(found.good) == all_but()
    shown = value.replace('""', '"').replace("\r\n", "\n")
    whole = Recording.concat(list(iter_recording(path)))
    assert Counter(whole.rows["alert"].to_pylist()) == {shown: 4, "no": ROWS - 4}


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_files_that_quote_everything_are_read(tmp_path: Path, quoting: Any, sign: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES, quoting=quoting, delimiter=sign)
    writer.writeheader()
    writer.writerows(row(i) for i in range(ROWS))
    assert Read(write(tmp_path / "a.csv", text.getvalue().encode())).good == all_but()
    torn = text.getvalue().replace('48.00007"', "48.00007", 1).encode()
    assert sorted(Read(write(tmp_path / "b.csv", torn)).good) == all_but(7)


def test_a_blank_before_a_quote_is_none_of_the_value(tmp_path: Path) -> None:
    text = [line.replace("DLH5HR", '"DLH5HR"').replace(",", ", ") for line in lines()]
    chunk = next(iter_recording(write(tmp_path / "a.csv", text)))
    assert chunk.states["callsign"].to_pylist() == ["DLH5HR"] * ROWS


# Bytes


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("second", [0, 31, ROWS - 1])
def test_a_latin_1_byte_costs_its_row_where_its_column_is_read(
    tmp_path: Path, column: str, second: int
) -> None:
    text = lines()
    values = {**row(second), column: f"{row(second)[column]}é"}
    text[second + 1] = ",".join(map(str, values.values()))
    found = Read(write(tmp_path / "a.csv", "\n".join(text).encode("latin-1")))
    is_read = column != "alert"
    assert found.good == (all_but(second) if is_read else all_but())
    assert len(found.reasons) == is_read
    if is_read:
        assert found.payloads[0]["velocity"] == "120.5" + "\\udce9" * (column == "velocity")


def test_a_latin_1_byte_in_a_torn_line_or_in_the_header_costs_no_other(tmp_path: Path) -> None:
    text = lines()
    text[0] += ",Größe"
    text[1:] = [line + ",7" for line in text[1:]]
    text[5] += ",é,é"
    found = Read(write(tmp_path / "a.csv", "\n".join(text).encode("latin-1")))
    assert sorted(found.good) == all_but(4)
    assert found.reasons == ["the line has 11 fields instead of 9"]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(),
     pa.binary(), pa.large_binary(), pa.binary_view()],
)  # fmt: skip
@pytest.mark.parametrize("is_dictionary", [False, True])
@pytest.mark.parametrize("column", ["callsign", "alert", "lat"])
def test_text_of_parquet_is_read_as_what_it_says(
    tmp_path: Path, kind: pa.DataType, is_dictionary: bool, column: str
) -> None:
    columns: dict[str, Any] = {
        name: pa.array([str(row(i)[name]) for i in range(ROWS)]) for name in NAMES
    }
    raw = [str(row(i)[column]).encode() for i in range(ROWS)]
    raw[7] += b"\xe9"
    # As Arrow makes text of bytes that it does not look at.
    plain = pa.array(raw, pa.binary())
    bad = pa.Array.from_buffers(pa.string(), len(plain), plain.buffers())
    if is_dictionary:
        bad = bad.dictionary_encode()
    elif kind != pa.string():
        bad = plain.cast(kind) if "binary" in str(kind) else bad.cast(kind)
    pq.write_table(pa.table(columns | {column: bad}), tmp_path / "a.parquet")
    found = Read(tmp_path / "a.parquet")
    assert found.error is None
    assert found.good == (all_but() if column == "alert" else all_but(7))


def test_values_that_python_cannot_hold_are_kept_as_text(tmp_path: Path) -> None:
    rows = [{**row(i), "lat": "north"} for i in range(2)]
    table = pa.Table.from_pylist(rows).append_column(
        "far", pa.array([2**60, 0], pa.timestamp("us"))
    )
    words = pa.array([b"\xe9", b"x"], pa.binary())
    words = pa.Array.from_buffers(pa.string(), 2, words.buffers())
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), words)
    pq.write_table(table.append_column("words", lists), tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet").reasons == ["lat is not a number"] * 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be-bom", "utf-32"])
@pytest.mark.parametrize("kind", ["csv", "json", "lines"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str, kind: str) -> None:
    text = {
        "csv": "\n".join(lines()),
        "json": json.dumps([row(i) for i in range(ROWS)]),
        "lines": "\n".join(json.dumps(row(i)) for i in range(ROWS)),
    }[kind].replace("DLH5HR", "DLHÖ")
    body = (
        b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom"
        else text.encode(encoding)
    )  # fmt: skip
    path = write(tmp_path / "a", gzip.compress(body))
    assert Read(path).good == all_but()
    assert next(iter_recording(path)).states["callsign"].to_pylist() == ["DLHÖ"] * ROWS


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n", "\n\n", "\r\n\r\n"])
def test_lines_end_as_they_like(tmp_path: Path, ending: str) -> None:
    found = Read(write(tmp_path / "a.csv", ending.join([*lines(), ""]).encode()))
    assert (found.good, found.reasons) == (all_but(), [])


@pytest.mark.parametrize("sign", ["\0", "\r", "\x1a", "\0" * 5000])
def test_a_control_sign_costs_its_row_at_most(tmp_path: Path, sign: str) -> None:
    text = lines()
    text[8] = text[8].replace("DLH5", f"DLH{sign}5")
    found = Read(write(tmp_path / "a.csv", "\n".join(text).encode()))
    assert sorted(found.good) == (all_but() if sign == "\x1a" else all_but(7))
    assert found.rows == ROWS


def test_a_line_without_end_costs_itself(tmp_path: Path) -> None:
    text = lines()
    text[8] = "\0" * (3 << 20)
    found = Read(write(tmp_path / "a.csv", text))
    assert sorted(found.good) == all_but(7)
    assert len(str(found.payloads)) < 100_000


# What is missing


@pytest.mark.parametrize("header", [",", ",,", ""])
@pytest.mark.parametrize("end", [",", ",,", ""])
def test_empty_columns_at_the_end_are_none(tmp_path: Path, header: str, end: str) -> None:
    text = lines()
    text = [text[0] + header, *(line + end for line in text[1:])]
    found = Read(write(tmp_path / "a.csv", text))
    assert (found.good, found.reasons) == (all_but(), [])
    text[5] += ",7"
    assert sorted(Read(write(tmp_path / "b.csv", text)).good) in (all_but(4), all_but())


def test_a_column_without_a_name_is_an_index(tmp_path: Path) -> None:
    text = ["," + lines()[0], *(f"{n},{line}" for n, line in enumerate(lines()[1:]))]
    assert Read(write(tmp_path / "a.csv", text)).good == all_but()


@pytest.mark.parametrize("name", ["velocity", "callsign", "onground"])
@pytest.mark.parametrize(
    "spelt", ["NA", "N/A", "n/a", "na", "null", "Null", "NaN", "#N/A", "<NA>", "NaT", "-", "."]
)
def test_a_missing_value_is_missing_however_it_is_spelt(
    tmp_path: Path, name: str, spelt: str
) -> None:
    text = [",".join(NAMES), ",".join(map(str, {**row(0), name: spelt}.values()))]
    [chunk] = iter_recording(write(tmp_path / "a.csv", text))
    assert chunk.reasons.to_pylist() == [None]
    kept = {"velocity": "velocity_mps", "callsign": "callsign", "onground": "is_on_ground"}[name]
    assert chunk.states[kept].to_pylist() == [None]


# Times and numbers


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("form", ["int", "text", "float", "parquet"])
@pytest.mark.parametrize("columns", ["history", "traffic"])
def test_a_time_is_known_by_its_size(tmp_path: Path, factor: int, form: str, columns: str) -> None:
    names = dict(zip(NAMES, ["timestamp", "icao24", "latitude", "longitude"], strict=False))
    rows = []
    for i in range(3):
        values = row(i) | {"time": (START + i) * factor}
        if form == "text":
            values["time"] = str(values["time"])
        elif form == "float":
            values["time"] = float(values["time"])
        if columns == "traffic":
            values = {names.get(name, name): value for name, value in values.items()}
        rows.append(values)
    path = tmp_path / "a"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows))
    assert Read(path).good == [0, 1, 2]


def test_times_of_several_units_stand_in_one_column(tmp_path: Path) -> None:
    times = [START, (START + 1) * 1000, (START + 2) * 10**6, (START + 3) * 10**9, "2021-10-07",
             f"{START + 4},0", "2021-10-07T12:00:05,000Z", 10**10, 12]  # fmt: skip
    rows = [row(0) | {"time": str(time)} for time in times]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    found = Read(path)
    assert found.good == [0, 1, 2, 3, -12 * 3600, 4, 5]
    assert set(found.reasons) == {
        "time is not a time from 1990 to 2099 (epoch in s, ms, us or ns, or ISO 8601)"
    }


@pytest.mark.parametrize("sign", [";", "\t", ","])
def test_decimal_commas_are_read_where_the_position_has_them(tmp_path: Path, sign: str) -> None:
    quote = '"' if sign == "," else ""
    text = [sign.join(["timestamp", "icao24", "latitude", "longitude", "altitude"])]
    for latitude, altitude in (("48,8001", "35000,5"), ("48", "1,250"), ("48.8", "35,000")):
        values = [str(START), "3c65d7", latitude, "2,3" if latitude == "48" else "2.3", altitude]
        text.append(sign.join(f"{quote}{value}{quote}" for value in values))
    [chunk] = iter_recording(write(tmp_path / "a.csv", text))
    assert chunk.reasons.to_pylist() == [None, None, "altitude is not a number"]
    feet = [value and value / 0.3048 for value in chunk.states["baro_altitude_m"].to_pylist()]
    assert feet[:2] == [pytest.approx(35000.5), pytest.approx(1.25)]
    assert chunk.states["latitude_deg"].to_pylist()[:2] == [48.8001, 48.0]


# Files and folders


def foreign(folder: Path) -> list[Path]:
    made = {
        "README.md": b"[A link](x)\n", "LICENSE": b"Terms, of use\n", "some.ini": b"[section]\n",
        "page.html": b"<html>", "picture.png": b"\x89PNG\r\n\x1a\n\0\0", "empty.csv": b"",
        "notes.json": b'{"a": 1}', "template": b"{{ name }}", "list.json": b"[1, 2]",
        "aircraft.csv": b"icao24,registration\n3c65d7,D-ABCD\n", "zeros": b"\0" * 5000,
    }  # fmt: skip
    for name, body in made.items():
        (folder / name).write_bytes(body)
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    return [folder / name for name in (*made, "other.parquet")]


def test_files_of_other_kinds_are_no_recordings(tmp_path: Path) -> None:
    for path in foreign(tmp_path):
        with pytest.raises(NoRecording, match=path.name):
            open_recording(path)


@pytest.mark.parametrize(
    "body",
    [
        b"icao24,time,lat,lom\n",
        b'[{"icao24": "3c65d7", "time": 1633608000, "la',
        b'{"icao24": {"0": "3c65d7"}, "time"',
        b"PAR1 and nothing",
        gzip.compress(b"time,icao24,lat,lon\n", mtime=0)[:12],
        gzip.compress(b"time,icao24,lat,lon\n", mtime=0)[:-4],
    ],
)
def test_a_damaged_recording_is_not_taken_for_a_foreign_file(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)
    with pytest.raises(SkyOpsError) as caught:
        list(open_recording(tmp_path / "a").chunks)
    assert not isinstance(caught.value, NoRecording)


def test_odd_names_links_and_pipes_are_found_and_named(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "names", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    odd = os.fsdecode(b"r\xe9union.csv")
    for path in (folder / "a.csv", folder / odd, elsewhere / "b.csv"):
        write(path, lines(1))
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    (folder / "nowhere").symlink_to("gone")
    (folder / "itself").symlink_to("itself")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(folder, os.O_RDONLY)
        os.chdir(folder)
        one.bind("socket")
        os.close(here)
        found = find_recordings([folder])
        said = {}
        for path in found:
            if Read(path).good != [0]:
                with pytest.raises(SkyOpsError) as caught:
                    open_recording(path)
                said[path.name] = f"{caught.typename}: {caught.value}"
    assert [path.name for path in found] == sorted(
        ["a.csv", "itself", "b.csv", "nowhere", "pipe", odd, "socket"],
        key=lambda name: "linked" if name == "b.csv" else name,
    )
    assert "is a link to gone, which is not there" in said.pop("nowhere")
    assert "is a pipe, not a file" in said.pop("pipe")
    assert said.pop("socket").startswith("NoRecording: ")
    assert "itself" in said.pop("itself")
    assert said == {}
    row = [line.split(",") for line in lines(1)]
    names = ["timestamp", "icao24", "latitude", "longitude"]
    write(folder / odd, [",".join(names), ",".join(row[1][:4])])
    assert next(iter_recording(folder / odd)).source == r"recording:r\xe9union"


# Any damage, to any kind of file


def as_columns(rows: list[dict[str, Any]]) -> str:
    return json.dumps({name: {str(i): one[name] for i, one in enumerate(rows)} for name in NAMES})


def as_answer(rows: list[dict[str, Any]]) -> str:
    states = [
        [one["icao24"], one["callsign"], "", one["time"], one["time"], 2.3, float(one["lat"]),
         None, False, 120.5, None, None, None, None, None, False, 0]
        for one in rows
    ]  # fmt: skip
    return json.dumps({"time": START + ROWS, "states": states})


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=20)
    return sink.getvalue()


ALL = [row(i) for i in range(ROWS)]
KINDS: dict[str, bytes] = {
    "csv": ("\n".join(lines()) + "\n").encode(),
    "quoted csv": ("\n".join('"' + '","'.join(line.split(",")) + '"' for line in lines())).encode(),
    "gzipped csv": gzip.compress(("\n".join(lines()) + "\n").encode(), mtime=0),
    "json": json.dumps(ALL).encode(),
    "json lines": "\n".join(map(json.dumps, ALL)).encode(),
    "json columns": as_columns(ALL).encode(),
    "response": as_answer(ALL).encode(),
    "parquet": as_parquet(ALL),
}
BY_LINE = ("csv", "quoted csv", "json lines", "json")
ODD = [b'"', b"\n", b"\r", b",", b"\0", b"\xe9", b"{", b"}", b"[", b"]", b"\\", b"'", b"9", b"e"]


@st.composite
def damage(draw: st.DrawFn, body: bytes) -> tuple[bytes, int, int]:
    """A body with one damage, and the first and the last byte of it that are not as they were."""
    at = draw(st.integers(0, len(body) - 1))
    kind = draw(st.sampled_from(["flip", "cut", "insert", "delete", "zero"]))
    length = draw(st.integers(1, 40))
    if kind == "flip":
        flipped = body[at] ^ draw(st.integers(1, 255))
        return body[:at] + bytes([flipped]) + body[at + 1 :], at, at
    if kind == "cut":
        return body[:at], at, len(body)
    if kind == "insert":
        more = draw(st.one_of(st.binary(max_size=6), st.sampled_from(ODD)))
        return body[:at] + more + body[at:], at, at
    if kind == "zero":
        end = min(at + length, len(body))
        return body[:at] + bytes(end - at) + body[end:], at, end
    return body[:at] + body[at + length :], at, at + length


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damage_costs_what_it_hits_and_raises_nothing_unexpected(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    body = KINDS[kind]
    damaged, first, last = data.draw(damage(body))
    path = tmp_path / "a"
    path.write_bytes(damaged)
    try:
        found = Read(path, chunk_rows=25)
    except MalformedResponse:
        return
    assert found.rows == len(found.good) + len(found.reasons)
    if kind not in BY_LINE:
        return
    # Each row by the bytes that it lies in; those beside the damage may go with it.
    separator = b"}, {" if kind == "json" else b"\n"
    parts = body.rstrip().split(separator)
    ends, end = [], 0
    for part in parts:
        end += len(part) + len(separator)
        ends.append(end)
    header = 0 if "json" in kind else 1
    hit = [n for n, end in enumerate(ends) if end >= first and end - len(parts[n]) - 8 <= last]
    if 0 in hit:
        # Without a header, or its first sign, nobody can say what the file is.
        return
    far = [n - header for n in range(header, len(parts)) if n + 1 not in hit and n - 1 not in hit
           and n not in hit]  # fmt: skip
    assert not set(far) - set(found.good)
    assert found.rows <= ROWS + 2


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_gzip_that_is_cut_off_gives_what_it_holds(tmp_path: Path, share: float) -> None:
    body = gzip.compress("\n".join(lines(20_000)).encode())
    path = write(tmp_path / "a.csv.gz", body[: int(len(body) * share)])
    found = Read(path)
    assert "cannot be read" in str(found.error)
    assert found.reasons == []
    assert found.good == list(range(len(found.good)))
    assert len(found.good) > 20_000 * share * 0.9


def test_damage_in_a_json_array_costs_its_row_also_in_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyops_assets.sources.opensky.reading.chunks.BLOCK_BYTES", 2000)
    rows = [json.dumps(row(i)) for i in range(1000)]
    for second in (5, 500, 501, 998):
        rows[second] = rows[second].replace('"3c65d7"', '"3c65d7', 1)
    text = "[" + ", ".join(rows) + "]"
    found = Read(write(tmp_path / "a.json", text.encode()))
    assert found.error is None
    assert found.good == all_but(5, 500, 501, 998, rows=1000)
    assert set(found.reasons) == {"the row is not JSON"}
    assert len(found.reasons) == 4


def test_a_file_of_nothing_but_stray_quotes_is_torn_line_by_line() -> None:
    """Each could begin a record of any length: to look on for its end at each would take hours."""
    form = csv_tables.dialect(b"a,b,c\n")
    block = b'x,"y,z\n' * 50_000
    found = list(csv_tables.csv_tables([b"a,b,c\n" + block], form))
    assert sum(len(torn) for _, torn in found) == 50_000


# The readers of other files


def test_a_day_of_the_history_is_read_as_any_table(tmp_path: Path) -> None:
    from skyops_assets.sources.history.schema import HEADER
    from skyops_assets.sources.history.source import read_rows

    text = [",".join(HEADER) + ",", *[",".join(f"{n}" for n in range(len(HEADER))) + ","] * 3]
    text[2] = text[2].replace(",7,", ',"7,')
    body = gzip.compress(b"\xef\xbb\xbf" + "\r\n".join(text).encode())
    found = read_rows(write(tmp_path / "a.csv", body))
    good = {name: str(n) for n, name in enumerate(HEADER)}
    assert found == [good, good, {"line": text[2]}]


def test_a_day_of_weather_reports_is_read_as_any_table(tmp_path: Path) -> None:
    from datetime import date

    from skyops_assets.sources.weather.schema import judge
    from skyops_assets.sources.weather.source import place, read_reports

    reports = [f"LFPG,2021-10-07 12:{i:02},LFPG 0712{i:02}Z 02008KT CAVOK 19/09 Q1029"
               for i in range(5)]  # fmt: skip
    reports[1] = reports[1].replace("CAVOK", '"CAVOK')
    reports[3] = reports[3].replace("CAVOK", "CAVÖK")
    body = "\n".join(["station,valid,metar,", *reports]).encode("latin-1")
    write(tmp_path / "LFPG.csv", body)
    day = date(2021, 10, 7)
    rows = read_reports(place(f"{tmp_path}/LFPG.csv", "LFPG", day))
    reasons = [one.reason for one in judge(rows, "LFPG", day)]
    assert sorted(map(str, reasons)) == [
        "None", "None", "None", "the report is not plain text", "the row does not have 3 values",
    ]  # fmt: skip


def test_airframes_are_read_as_any_table(tmp_path: Path) -> None:
    from skyops_assets.sources.aircraft import _rows, rejection_reason

    body = (
        "icao24,typecode,operator,\n4b1801,BCS3,Swiss\n4b1802,NA,N/A,\n"
        '4b1803,"A320,Swiss,\n4b1804,A320,"Zürich, AG"\n4b1805,A320,Swiss,\n'
    ).encode("latin-1")
    found = [values for _, values in _rows(write(tmp_path / "a.csv", body))]
    reasons = {one["icao24"]: rejection_reason(one) for one in found}
    assert reasons == {
        "4b1801": None, "4b1802": None, "4b1804": "operator is not UTF-8", "4b1805": None,
        None: "icao24 is not six hexadecimal digits",
    }  # fmt: skip
    [second] = [one for one in found if one["icao24"] == "4b1802"]
    assert (second["typecode"], second["operator"]) == (None, None)
