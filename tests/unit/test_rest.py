"""REST responses: exact fields, every fault with its reason, and no row without an account."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyops_assets.sources.opensky.reading.recording import JSON_ROW, row_json
from skyops_assets.sources.opensky.reading.rest import FIELDS, MalformedResponse, read_response
from skyops_assets.sources.opensky.schema import STATE_VECTOR

NOW = 1_767_117_603
ROW: dict[str, Any] = {
    "icao24": "39de4f", "callsign": "TVF70CT ", "origin_country": "France",
    "time_position": NOW - 1, "last_contact": NOW, "longitude": 11.7731, "latitude": 47.8681,
    "baro_altitude": 11833.86, "on_ground": False, "velocity": 240.56, "true_track": 87,
    "vertical_rate": -5.2, "sensors": None, "geo_altitude": 11567.16, "squawk": "0021",
    "spi": False, "position_source": 0, "category": 3,
}  # fmt: skip


def row(size: int = 17, **changes: Any) -> list[Any]:
    return list({**ROW, **changes}.values())[:size]


def response(*rows: Any, at: Any = NOW) -> bytes:
    return json.dumps({"time": at, "states": list(rows)}).encode()


def reason(size: int = 17, **changes: Any) -> Any:
    return read_response(response(row(), row(size, **changes))).reasons.to_pylist()[1]


def test_every_field_is_read_and_units_stay() -> None:
    found = read_response(response(row(18))).states
    assert found.schema.names == STATE_VECTOR.names
    assert found.to_pylist() == [
        {
            "icao24": "39de4f", "callsign": "TVF70CT", "origin_country": "France",
            "time_position": datetime.fromtimestamp(NOW - 1, UTC),
            "last_contact": datetime.fromtimestamp(NOW, UTC),
            "longitude_deg": 11.7731, "latitude_deg": 47.8681, "baro_altitude_m": 11833.86,
            "is_on_ground": False, "velocity_mps": 240.56, "true_track_deg": 87.0,
            "vertical_rate_mps": -5.2, "geo_altitude_m": 11567.16, "squawk": "0021",
            "is_spi": False, "position_source": 0, "category": 3,
        }
    ]  # fmt: skip


def test_17_and_18_fields_go_together() -> None:
    found = read_response(response(row(17), row(18)))
    assert found.states["category"].to_pylist() == [None, 3]
    assert found.problems is None


@pytest.mark.parametrize("states", ["null", "[]"])
def test_an_empty_sky_has_no_rows(states: str) -> None:
    found = read_response(f'{{"time": {NOW}, "states": {states}}}'.encode())
    assert len(found.rows) == len(found.states) == len(found.reasons) == 0


def test_gzip_is_read() -> None:
    assert len(read_response(gzip.compress(response(row()))).states) == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("TVF70CT ", "TVF70CT"), ("        ", None), ("", None), (None, None), ("1234", "1234")],
)
def test_callsigns(sent: Any, kept: Any) -> None:
    found = read_response(response(row(callsign=sent)))
    assert found.states["callsign"].to_pylist() == [kept]
    assert found.reasons.to_pylist() == [None]


@pytest.mark.parametrize(
    ("name", "sent", "column", "kept"),
    [
        ("velocity", "240.5", "velocity_mps", 240.5),
        ("velocity", " 1e2 ", "velocity_mps", 100.0),
        ("velocity", math.nan, "velocity_mps", None),
        ("latitude", "-47.5", "latitude_deg", -47.5),
        ("time_position", str(NOW - 2), "time_position", datetime.fromtimestamp(NOW - 2, UTC)),
        ("time_position", NOW - 0.5, "time_position", datetime.fromtimestamp(NOW - 0.5, UTC)),
        ("on_ground", "true", "is_on_ground", True),
        ("on_ground", 0, "is_on_ground", False),
        ("on_ground", 1.0, "is_on_ground", True),
        ("on_ground", math.nan, "is_on_ground", None),
        ("position_source", "2", "position_source", 2),
        ("squawk", 21, "squawk", "0021"),
        ("icao24", "39DE4F", "icao24", "39de4f"),
    ],
)
@pytest.mark.parametrize("others", [0, 3])
def test_a_value_written_otherwise_but_clearly_is_read(
    name: str, sent: Any, column: str, kept: Any, others: int
) -> None:
    found = read_response(response(row(**{name: sent}), *[row()] * others))
    assert found.states[column].to_pylist()[0] == kept
    assert found.reasons.to_pylist() == [None] * (1 + others)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_position": None}, "no time of position"),
        ({"time_position": math.nan}, "no time of position"),
        ({"latitude": None}, "no position"),
        ({"latitude": math.nan}, "no position"),
        ({"latitude": 0, "longitude": 0}, "position is 0, 0"),
        ({"latitude": 103.99, "longitude": 1.36}, "latitude and longitude look swapped"),
        ({"latitude": 91, "longitude": 100}, "latitude_deg outside -90 to 90"),
        ({"velocity": math.inf}, "velocity_mps outside 0 to 700"),
        ({"velocity": 10**400}, "velocity_mps outside 0 to 700"),
        ({"velocity": "fast"}, "velocity is not a number"),
        ({"velocity": "1,5"}, "velocity is not a number"),
        ({"velocity": True}, "velocity is not a number"),
        ({"latitude": [47.0]}, "latitude is not a number"),
        ({"time_position": NOW + 60}, "time_position is later than the time of its answer"),
        ({"last_contact": NOW + 60}, "last_contact is later than the time of its answer"),
        ({"time_position": NOW * 1000}, "time_position is not a time from 1990 to 2099"),
        ({"time_position": 1e300}, "time_position is not a time from 1990 to 2099"),
        ({"time_position": "noon"}, "time_position is not a time from 1990 to 2099"),
        ({"time_position": "now"}, "time_position is not a time from 1990 to 2099"),
        ({"last_contact": "today"}, "last_contact is not a time from 1990 to 2099"),
        ({"on_ground": "maybe"}, "on_ground is neither true nor false"),
        ({"on_ground": 2}, "on_ground is neither true nor false"),
        ({"on_ground": 0.5}, "on_ground is neither true nor false"),
        ({"squawk": 7778}, "squawk is not a squawk"),
        ({"squawk": True}, "squawk is not text"),
        ({"position_source": 1.5}, "position_source is not a code"),
        ({"icao24": 400000}, "icao24 is not text"),
        ({"icao24": None}, "icao24 is not six hexadecimal digits"),
        ({"callsign": 7}, "callsign is not text"),
        ({"callsign": "A\0B"}, "callsign is not text"),
        ({"callsign": "\ud800"}, "callsign is not text"),
    ],
)
def test_each_fault_has_its_reason(changes: dict[str, Any], expected: str) -> None:
    assert str(reason(**changes)).startswith(expected)


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (None, "the row is not a list"),
        ({"icao24": "39de4f"}, "the row is not a list"),
        ("39de4f", "the row is not a list"),
        ([], "the row has 0 fields instead of 17 or 18"),
        (row()[:16], "the row has 16 fields instead of 17 or 18"),
        ([*row(18), 1], "the row has 19 fields instead of 17 or 18"),
    ],
)
def test_a_misshapen_row_is_kept_as_it_is_in_its_place(odd: Any, expected: str) -> None:
    found = read_response(response(row(), odd, row()))
    assert found.reasons.to_pylist() == [None, expected, None]
    assert json.loads(found.rows[JSON_ROW].to_pylist()[1]) == odd


@pytest.mark.parametrize(
    "changes", [{}, {"callsign": "],["}, {"callsign": "[\"]"}, {"sensors": [1, 2]}]
)  # fmt: skip
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (" ,\n", " : ")])
def test_a_row_is_kept_as_it_came(changes: dict[str, Any], separators: tuple[str, str]) -> None:
    rows = [row(**changes), row(squawk="7000"), row(18)]
    body = json.dumps({"time": NOW, "states": rows}, separators=separators).encode()
    kept = read_response(body).rows
    assert [json.loads(text) for text in kept[JSON_ROW].to_pylist()] == rows
    assert [json.loads(row_json(one)) for one in kept.to_pylist()] == rows


def test_what_postgres_cannot_hold_is_kept_as_the_text_that_shows_it() -> None:
    found = read_response(response(row(callsign="A\0\ud800", velocity=math.inf, latitude=math.nan)))
    kept = json.loads(row_json(found.rows.to_pylist()[0]))
    assert (kept[1], kept[9], kept[6]) == ("A\\u0000\\ud800", "inf", "nan")


@pytest.mark.parametrize("levels", [600, 100_000])
def test_a_row_that_nests_too_deep_is_kept_as_its_text(levels: int) -> None:
    text = "[" * levels + "]" * levels
    kept = json.loads(row_json({JSON_ROW: text}))
    # How deep Python goes depends on its version.
    assert kept == text or json.dumps(kept) == text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "not JSON, or cut off"),
        (response(row())[:-9], "not JSON, or cut off"),
        (b"[" * 100_000, "not JSON, or cut off"),
        (b"<!doctype html><p>Service unavailable", "HTML"),
        (b" \n<html>", "HTML"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "has no time"),
        (b'{"time": 1767117603}', "has no states"),
        (b'{"time": null, "states": []}', "time is not a time"),
        (b'{"time": "noon", "states": []}', "time is not a time"),
        (b'{"time": 1767117603, "states": {}}', "states are not a list"),
        (b"\xff\xfe", "not UTF-8"),
        (gzip.compress(response(row()), mtime=0)[:-20], "gzip is cut off"),
    ],
)
def test_a_bad_answer_is_told_and_carries_its_body(body: bytes, expected: str) -> None:
    with pytest.raises(MalformedResponse, match=expected) as caught:
        read_response(body, "somewhere")
    assert caught.value.body == body
    assert "somewhere" in str(caught.value)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["NaN", "1e5", "39de4f", "7700", 10**400, NOW, -NOW, 0, [], {}, "\0"])
)  # fmt: skip
faulty = st.dictionaries(st.sampled_from(FIELDS), scalars, max_size=5)
elements = (
    st.builds(lambda size, changes: row(size, **changes), st.sampled_from([17, 18]), faulty)
    | st.lists(scalars, max_size=20)
    | scalars
)


@given(st.lists(elements, max_size=12))
def test_whatever_the_faults_every_row_is_good_or_has_a_reason(rows: list[Any]) -> None:
    found = read_response(response(*rows))
    reasons = found.reasons.to_pylist()
    assert len(reasons) == len(rows) == len(found.rows) == len(found.states)
    for sent, why, got in zip(rows, reasons, found.states.to_pylist(), strict=True):
        if why is None:
            assert isinstance(sent, list)
            assert len(sent) in (17, 18)
            assert all(got[field.name] is not None for field in STATE_VECTOR if not field.nullable)
            assert got["icao24"] == sent[0].strip().lower()
    for one in found.rows.to_pylist():
        json.loads(row_json(one), parse_constant=pytest.fail)


@given(st.binary(max_size=60) | st.integers(0, 400).map(lambda cut: response(row(), row())[:cut]))
def test_no_body_raises_anything_but_a_bad_answer(body: bytes) -> None:
    try:
        read_response(body)
    except MalformedResponse as error:
        assert error.body == body


@pytest.mark.mirror
def test_the_three_real_answers_to_the_row(mirror: Path) -> None:
    reasons: list[Counter[str | None]] = []
    for path in sorted((mirror / "opensky_rest").glob("*.json")):
        found = read_response(path.read_bytes())
        assert found.problems is None
        reasons.append(Counter(found.reasons.to_pylist()))
    assert reasons == [
        {
            None: 10_642,
            "no time of position": 78,
            "baro_altitude_m outside -1500 to 30480": 1,
            "geo_altitude_m outside -1500 to 30480": 1,
        },
        {
            None: 10_612,
            "no time of position": 97,
            "baro_altitude_m outside -1500 to 30480": 1,
        },
        {None: 10_575, "no time of position": 97},
    ]
    assert sum(sum(one.values()) for one in reasons) == 32_104


def test_an_answer_of_the_whole_world_is_read_at_once() -> None:
    """45 ms measured; the bound leaves room for a busy machine."""
    body = response(*[row(time_position=NOW - i % 60, callsign=f"A{i}") for i in range(10_700)])
    took = []
    for _ in range(3):
        began = time.perf_counter()
        read_response(body)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.5
