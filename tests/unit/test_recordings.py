"""Recordings: exact units, text that stays text, and files that cannot be read."""

from __future__ import annotations

import gzip
import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)
from skyops_assets.sources.opensky.schema import STATE_VECTOR
from tests.support.states import traffic_row, write_recording


def read(folder: Path, *rows: dict[str, Any]) -> Recording:
    return read_recording(write_recording(folder / "some.rec.json", *rows), DEMO_START, DEMO_END)


def one(folder: Path, **changes: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = read(folder, traffic_row(**changes)).states.to_pylist()
    return found[0]


def test_units_are_converted_exactly(tmp_path: Path) -> None:
    row = one(tmp_path, altitude=100, geoaltitude=1000, groundspeed=100, vertical_rate=600)
    assert row["baro_altitude_m"] == pytest.approx(30.48, abs=1e-12)
    assert row["geo_altitude_m"] == pytest.approx(304.8, abs=1e-12)
    assert row["velocity_mps"] == pytest.approx(51.0 + 4 / 9, abs=1e-12)
    assert row["vertical_rate_mps"] == pytest.approx(3.048, abs=1e-12)


def test_what_has_no_unit_to_convert_is_taken_as_it_is(tmp_path: Path) -> None:
    row = one(tmp_path, track=265, latitude=49.01, longitude=2.55, onground=True)
    assert (row["true_track_deg"], row["latitude_deg"], row["longitude_deg"]) == (265, 49.01, 2.55)
    assert row["is_on_ground"] is True
    assert row["time_position"] == DEMO_START


def test_the_columns_are_those_of_a_state_vector_and_what_is_not_recorded_is_null(
    tmp_path: Path,
) -> None:
    table = read(tmp_path, traffic_row()).states
    assert table.schema.names == STATE_VECTOR.names
    assert table.schema.types == STATE_VECTOR.types
    for name in ("origin_country", "is_spi", "category", "last_contact"):
        assert table[name].to_pylist() == [None]


@pytest.mark.parametrize("address", ["000001", "1e1234", "00e500", "400000", "abcdef"])
def test_an_address_that_looks_like_a_number_stays_text(tmp_path: Path, address: str) -> None:
    assert one(tmp_path, icao24=address)["icao24"] == address


def test_addresses_are_lower_case(tmp_path: Path) -> None:
    assert one(tmp_path, icao24="3C6ABC")["icao24"] == "3c6abc"


@pytest.mark.parametrize("squawk", ["0021", "0000", "7700", None])
def test_a_squawk_keeps_its_leading_zeros(tmp_path: Path, squawk: str | None) -> None:
    assert one(tmp_path, squawk=squawk)["squawk"] == squawk


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("AFR12   ", "AFR12"), ("  AFR12", "AFR12"), ("        ", None), ("", None), (None, None),
     ("1234", "1234")],
)  # fmt: skip
def test_callsigns_lose_their_padding_and_a_blank_one_is_none(
    tmp_path: Path, sent: str | None, kept: str | None
) -> None:
    assert one(tmp_path, callsign=sent)["callsign"] == kept


def test_a_missing_value_is_null_and_not_nan(tmp_path: Path) -> None:
    names = ("altitude", "groundspeed", "vertical_rate", "track", "latitude")
    found = read(tmp_path, traffic_row(), traffic_row(**dict.fromkeys(names)))
    columns = ("baro_altitude_m", "velocity_mps", "vertical_rate_mps", "true_track_deg",
               "latitude_deg")  # fmt: skip
    assert [found.states[name].null_count for name in columns] == [1] * 5
    assert not any(math.isnan(row["latitude_deg"] or 0) for row in found.states.to_pylist())


def test_only_the_hours_asked_for_are_read_the_end_excluded(tmp_path: Path) -> None:
    at = [DEMO_START - timedelta(milliseconds=1), DEMO_START, DEMO_END - timedelta(milliseconds=1),
          DEMO_END]  # fmt: skip
    rows = [traffic_row(timestamp=round(time.timestamp() * 1000)) for time in at]
    assert read(tmp_path, *rows).states["time_position"].to_pylist() == at[1:3]


def test_between_cuts_rows_and_states_alike(tmp_path: Path) -> None:
    start = int(DEMO_START.timestamp() * 1000)
    whole = read(tmp_path, *[traffic_row(timestamp=start + i * 1000, track=i) for i in range(10)])
    part = whole.between(DEMO_START + timedelta(seconds=3), DEMO_START + timedelta(seconds=5))
    assert part.states["true_track_deg"].to_pylist() == [3, 4]
    assert part.rows["track"].to_pylist() == [3, 4]
    assert part.source == whole.source == "recording:some"


@pytest.mark.parametrize("offset", [0.5, 0.25])
def test_fractions_of_a_millisecond_are_kept(tmp_path: Path, offset: float) -> None:
    row = one(tmp_path, timestamp=DEMO_START.timestamp() * 1000 + offset)
    assert row["time_position"] - DEMO_START == timedelta(milliseconds=offset)


def test_a_row_without_a_time_is_read_with_every_hour(tmp_path: Path) -> None:
    """It belongs to none, and would be lost without a word if it belonged to no load."""
    found = read(tmp_path, traffic_row(), traffic_row(timestamp=None))
    assert found.states["time_position"].to_pylist() == [DEMO_START, None]
    later = found.between(DEMO_START + timedelta(hours=1), DEMO_START + timedelta(hours=2))
    assert later.states["time_position"].to_pylist() == [None]


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json.gz"
    path.write_bytes(gzip.compress(json.dumps([traffic_row()]).encode()))
    assert len(read_recording(path, DEMO_START, DEMO_END).states) == 1


@pytest.mark.parametrize("column", ["icao24", "timestamp", "latitude", "longitude"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = traffic_row()
    del row[column]
    with pytest.raises(SkyOpsError, match=f"has no column {column}"):
        read(tmp_path, row)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SkyOpsError, match=r"nowhere\.json does not exist: correct the path"):
        read_recording(tmp_path / "nowhere.json", DEMO_START, DEMO_END)


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b'[{"icao24": "3c6444"', b'{"a": 1}', b"\xff\xfe\x00", b"icao24,latitude\n"],
)
def test_a_file_of_another_kind_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(SkyOpsError, match=r"some\.json"):
        read_recording(path, DEMO_START, DEMO_END)


def test_a_cut_off_gzip_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "some.json.gz"
    path.write_bytes(gzip.compress(json.dumps([traffic_row()] * 1000).encode())[:80])
    with pytest.raises(SkyOpsError, match="cannot be read"):
        read_recording(path, DEMO_START, DEMO_END)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"latitude": "north"}, "latitude is not a number"),
        ({"altitude": "FL350"}, "altitude is not a number"),
        ({"onground": "maybe"}, "onground is neither true nor false"),
        ({"icao24": 400000}, "icao24 is not text"),
        ({"callsign": "A\0"}, "callsign is not text"),
        ({"timestamp": "noon"}, "timestamp is not a time from 1990 to 2099"),
        ({"timestamp": 16_336_080_000}, "timestamp is not a time from 1990 to 2099"),
        ({"timestamp": "2090-01-01"}, "timestamp is later than the present"),
    ],
)
def test_a_value_of_another_kind_rejects_its_row_and_no_other(
    tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, traffic_row(), traffic_row(**wrong), traffic_row(track=1))
    reasons = found.reasons.to_pylist()
    assert str(reasons[1]).startswith(reason)
    assert (reasons[0], reasons[2]) == (None, None)


def test_the_demo_recording_without_its_wheel_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SkyOpsError, match="make demo"):
        demo_recording()
