"""One arrival of the history: what is read from a row, and each reason why a row is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources.history import source
from skyops_assets.sources.history.load import UID_TAKEN, _sort
from skyops_assets.sources.history.schema import ARRIVAL, HEADER, judge

DAY = date(2019, 3, 1)
# A row as found, rings 40, 50 and 100 NM.
FOUND = """
06a0e7-QTR095-2019-03-01-0,TRUE,28,2019-03-01T11:38:33Z,
2019-03-01T11:25:52Z,66.5294,47.72284,9.452397,15050,74022.92761,57.07239,
2019-03-01T11:24:08Z,70.85634,47.730743,9.713082,18275,92582.69452,17.30548,
2019-03-01T11:16:35Z,82.62319,47.6716,10.993126,32000,185186.73117,13.26883
"""
GOOD: dict[str, Any] = dict(zip(HEADER, FOUND.replace("\n", "").split(","), strict=True))


def without(*rings: int) -> dict[str, str]:
    return {name: "NA" for name in HEADER if name.startswith(tuple(f"C{r}_" for r in rings))}


def reason(changes: dict[str, Any]) -> str | None:
    (found,) = judge([GOOD | changes], "LSZH", DAY)
    assert (found.arrival is None) == (found.reason is not None)
    return found.reason


def test_a_good_row_is_an_arrival_in_si_units() -> None:
    (found,) = judge([GOOD], "LSZH", DAY)
    assert found.reason is None
    arrival = found.arrival
    assert arrival is not None
    assert list(arrival) == ARRIVAL.names
    assert {name: arrival[name] for name in ARRIVAL.names[:14]} == {
        "uid": "06a0e7-QTR095-2019-03-01-0",
        "icao24": "06a0e7",
        "callsign": "QTR095",
        "airport": "LSZH",
        "runway": "28",
        "is_arrival": True,
        "landed_at": datetime(2019, 3, 1, 11, 38, 33, tzinfo=UTC),
        "ring_40nm_crossed_at": datetime(2019, 3, 1, 11, 25, 52, tzinfo=UTC),
        "ring_40nm_bearing_deg": 66.5294,
        "ring_40nm_latitude_deg": 47.72284,
        "ring_40nm_longitude_deg": 9.452397,
        "ring_40nm_altitude_m": pytest.approx(4587.24),
        "ring_40nm_distance_m": 74022.92761,
        "ring_40nm_offset_m": 57.07239,
    }
    assert arrival["ring_100nm_altitude_m"] == pytest.approx(9753.6)
    assert arrival["day"] == DAY


def test_a_ring_without_a_crossing_is_null_and_the_arrival_stands() -> None:
    (found,) = judge([GOOD | without(50, 100) | {"RWY": "NA"}], "LSZH", DAY)
    assert found.arrival is not None
    assert found.arrival["ring_40nm_crossed_at"] is not None
    assert found.arrival["ring_100nm_crossed_at"] is None
    assert found.arrival["ring_50nm_altitude_m"] is None
    assert found.arrival["runway"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"UID": "06a0e7-2019-03-01-0"}, "UID is not icao24-callsign-date-number"),
        ({"UID": "06A0E7-QTR095-2019-03-01-0"}, "UID is not icao24-callsign-date-number"),
        ({"UID": "06a0e7-QTR095-2019-03-02-0"}, "UID is of another day than the file"),
        ({"ARR": "FALSE"}, "ARR is not TRUE"),
        ({"ARR": "NA"}, "ARR is not TRUE"),
        ({"RWY": "40"}, "RWY is not a runway"),
        ({"THR_TIME": "NA"}, "no threshold time"),
        ({"THR_TIME": "11:38:33"}, "THR_TIME is not a time"),
        ({"C50_TIME": "2019-02-30T11:24:08Z"}, "C50_TIME is not a time"),
        ({"C40_ALT": "high"}, "C40_ALT is not a number"),
        ({"C40_ALT": "inf"}, "C40_ALT is not a number"),
        ({"C40_ALT": "NA"}, "a crossing lacks some of its values"),
        ({"C40_TIME": "NA"}, "a crossing lacks some of its values"),
        (without(40, 50, 100), "no crossing of any ring"),
        (without(40, 50, 100) | {"THR_TIME": "2019-03-02T00:09:18Z"},
         "threshold time is on another day and no crossing confirms it"),
        ({"THR_TIME": "2019-03-03T11:38:33Z"},
         "threshold time is on another day and no crossing confirms it"),
        ({"THR_TIME": "2019-02-28T11:38:33Z"},
         "threshold time is on another day and no crossing confirms it"),
        ({"THR_TIME": "2019-03-02T11:38:33Z"}, "transit of more than 120 minutes"),
        ({"THR_TIME": "2019-03-01T11:25:52Z"}, "threshold time is not after the crossing"),
        ({"THR_TIME": "2019-03-01T13:16:36Z"}, "transit of more than 120 minutes"),
        ({"THR_TIME": "2019-03-01T11:29:17Z"}, "faster than 700 knots from ring to threshold"),
        ({"C100_TIME": "2019-03-01T11:20:00Z"}, "faster than 700 knots from ring to ring"),
        ({"C50_TIME": "2019-03-01T11:25:52Z"}, "rings are crossed in another order than inbound"),
        ({"C100_TIME": "2019-03-01T11:25:00Z"}, "rings are crossed in another order than inbound"),
        ({"C40_ALT": "51001"}, "altitude_m of a crossing outside -1500 to 15544.8"),
        ({"C40_BRG": "360.1"}, "bearing_deg of a crossing outside 0 to 360"),
        ({"C50_LAT": "90.5"}, "latitude_deg of a crossing outside -90 to 90"),
        ({"C50_LON": "-181"}, "longitude_deg of a crossing outside -180 to 180"),
        ({"C40_DIST": "75933"}, "crossing is more than 1 NM from its ring"),
        # 104 s between the rings: 8,666 ft down, 4,333 ft up.
        ({"C40_ALT": "9600"}, "altitudes of two rings mean a descent of more than 5,000 ft/min"),
        ({"C40_ALT": "22700"}, "altitudes of two rings mean a climb of more than 2,500 ft/min"),
    ],
)  # fmt: skip
def test_each_reason(changes: dict[str, Any], said: str) -> None:
    assert reason(changes) == said


@pytest.mark.parametrize(
    "changes",
    [
        {"THR_TIME": "2019-03-01T13:16:35Z"},
        {"C40_ALT": "9700"},
        {"C40_ALT": "22600"},
        {"C40_DIST": "75932"},
        {"RWY": "14R"},
        {"RWY": "36"},
    ],
)
def test_what_is_just_within_the_limits_is_an_arrival(changes: dict[str, Any]) -> None:
    assert reason(changes) is None


def test_a_landing_after_midnight_is_good_where_a_crossing_shows_it() -> None:
    late = {
        "THR_TIME": "2019-03-02T00:05:00Z",
        "C40_TIME": "2019-03-01T23:52:00Z",
        "C50_TIME": "2019-03-01T23:50:00Z",
        "C100_TIME": "2019-03-01T23:42:00Z",
    }
    assert reason(late) is None


def test_a_row_with_too_few_or_too_many_values_is_rejected() -> None:
    assert reason({"C100_OFFSET": None}) == "the row does not have 25 values"
    (found,) = judge([GOOD | {None: ["x"]}], "LSZH", DAY)
    assert found.reason == "the row does not have 25 values"


def test_of_rows_with_one_uid_the_first_is_new_and_another_one_is_rejected() -> None:
    other = GOOD | {"RWY": "32"}
    judged = judge([GOOD, GOOD, other, other], "LSZH", DAY)
    new, rejected = _sort(judged, {})
    assert new == [judged[0].arrival]
    assert rejected == [(other, UID_TAKEN), (other, UID_TAKEN)]
    # Once it is stored it is first.
    new, rejected = _sort(judged[2:3] + judged[:1], {str(GOOD["UID"]): judged[0].arrival or {}})
    assert not new
    assert rejected == [(other, UID_TAKEN)]


def test_the_pins_are_the_days_of_three_airports() -> None:
    assert len(source.pins()) == 523
    assert source.known_days("LSZH") == (
        "2019-03-01 to 2019-03-31, 2019-05-01 to 2019-05-31, 2020-03-01 to 2020-03-31, "
        "2020-05-01 to 2020-05-31, 2021-03-01 to 2021-03-13, "
        "2021-03-15 to 2021-03-31, 2021-05-01 to 2021-05-31"
    )
    assert source.known_days("EHAM").startswith("2019-03-01 to 2019-03-31")
    assert source.known_days("LFPG") == "none"
    assert source.history_file("LSZH", date(2019, 4, 1)).sha256 is None
    assert all(len(digest) == 64 for digest in source.pins().values())


def test_a_file_of_another_airport_in_the_mirror_is_read_unpinned(tmp_path: Path) -> None:
    settings = Settings(data_mirror=tmp_path)
    assert not source.history_file("LFPG", DAY, settings).exists
    (tmp_path / "arrivals").mkdir()
    for airport in ("LFPG", "LSZH"):
        path = tmp_path / "arrivals" / source.file_name(airport, DAY)
        path.write_text(f"{','.join(HEADER)}\n{','.join(GOOD.values())}\n")
    file = source.history_file("LFPG", DAY, settings)
    assert file.exists
    assert file.sha256 is None
    assert source.read_history(file, settings) == [GOOD]
    # A pinned one is still checked.
    with pytest.raises(SkyOpsError, match="is not the pinned version"):
        source.read_history(source.history_file("LSZH", DAY, settings), settings)


def test_a_file_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    file = source.history_file("LSZH", DAY)
    with pytest.raises(SkyOpsError, match=r"has no file .*LSZH-2019-03-01-asma\.csv.*put the file"):
        source.read_history(file, Settings(data_mirror=tmp_path))


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("UID,RWY\n1,2\n")
    with pytest.raises(SkyOpsError, match="its columns are UID, RWY instead of UID, ARR"):
        source.read_rows(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(SkyOpsError, match="its columns are missing"):
        source.read_rows(tmp_path / "a.csv")
