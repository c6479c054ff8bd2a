"""What a METAR says, and where it is read from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources.weather.load import TIME_TAKEN, _sort, airports
from skyops_assets.sources.weather.schema import METAR, judge
from skyops_assets.sources.weather.source import place, read_reports
from skyops_assets.units import FOOT_M, KNOT_MPS

DAY = date(2021, 10, 7)
MILE_M = 1609.344
VALUES = ("wind_from_deg", "wind_mps", "gust_mps", "visibility_m", "ceiling_m")


def row(text: str, **changes: Any) -> dict[str, Any]:
    """A row of the archive around a report, with the report's own station and time."""
    station, time = next(
        (words[n], words[n + 1])
        for words in [text.split()]
        for n in range(len(words) - 1)
        if words[n] not in ("METAR", "SPECI", "COR")
    )
    valid = f"2021-10-{time[:2]} {time[2:4]}:{time[4:6]}"
    return {"station": station, "valid": valid, "metar": text, **changes}


def judged(text: str, **changes: Any) -> Any:
    made = row(text, **changes)
    (found,) = judge([made], row(text)["station"], DAY)
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("LFPG 071230Z 02008KT 340V050 CAVOK 19/09 Q1029 NOSIG",
         (20, 8 * KNOT_MPS, None, 10_000, None)),
        ("METAR EGLL 071220Z AUTO VRB03KT 9999 BKN008 17/15 Q1030",
         (None, 3 * KNOT_MPS, None, 10_000, 800 * FOOT_M)),
        ("EHAM 071225Z 24025G38KT 210V270 7000 -SHRA FEW015CB BKN030 OVC045 12/09 Q0998 "
         "TEMPO 31040G60KT 1500 +TSRA BKN008CB",
         (240, 25 * KNOT_MPS, 38 * KNOT_MPS, 7000, 3000 * FOOT_M)),
        ("UUEE 071230Z 24004G09MPS 2100 -SN BR OVC012 M02/M03 Q1011 R24L/290050 NOSIG",
         (240, 4, 9, 2100, 1200 * FOOT_M)),
        ("KJFK 071251Z 18012KT 1 1/2SM R04R/4500V6000FT -RA BR SCT007 OVC015 17/16 A3012 "
         "RMK AO2 PK WND 20027/1232 SLP198 P0004 T01720161",
         (180, 12 * KNOT_MPS, None, 1.5 * MILE_M, 1500 * FOOT_M)),
        ("KSFO 071256Z 00000KT M1/4SM FG VV001 11/11 A2998 RMK AO2",
         (None, 0, None, 0.25 * MILE_M, 100 * FOOT_M)),
        ("KDEN 071253Z 36009KT 10SM CLR 15/M02 A3012 RMK AO2",
         (360, 9 * KNOT_MPS, None, 10_000, None)),
        # At least so far: the code for over six miles.
        ("CYYZ 071300Z CCA 25010KT P6SM FEW030 15/05 A3010",
         (250, 10 * KNOT_MPS, None, 6 * MILE_M, None)),
        ("EDDM 070420Z 00000KT 0150 R26R/0325N R26L/0300N FG VV/// 06/06 Q1027 NOSIG",
         (None, 0, None, 150, None)),
        ("LFOB 071230Z AUTO 03005KT 4000 1500NE BR FEW021/// BKN030/// //////TCU 18/10 Q1029",
         (30, 5 * KNOT_MPS, None, 4000, 3000 * FOOT_M)),
        ("LFPB 070600Z AUTO /////KT 9999 // NCD 08/07 Q1030", (None, None, None, 10_000, None)),
        ("LFPB 070600Z AUTO 35004KT //// // NCD 08/07 Q1030",
         (350, 4 * KNOT_MPS, None, None, None)),
        # Groups that the library does not know, after all that is read.
        ("EGQL 071250Z 24008KT 9999 FEW020 BKN025 14/11 Q1009 AMB W15/S3 FM1830 31040KT 0800 "
         "OVC002",
         (240, 8 * KNOT_MPS, None, 10_000, 2500 * FOOT_M)),
        ("SPECI LSZH 071237Z 26005KT 9999 FEW030 14/08 Q1021=",
         (260, 5 * KNOT_MPS, None, 10_000, None)),
    ],
)  # fmt: skip
def test_what_a_report_says(text: str, values: tuple[float | None, ...]) -> None:
    found = judged(text)
    assert found.reason is None
    assert list(found.report) == METAR.names
    assert found.report["report"] == text
    for name, value in zip(VALUES, values, strict=True):
        # The library's knot and foot are rounded.
        expected = value if value is None else pytest.approx(value, rel=1e-5)
        assert found.report[name] == expected, name


GOOD = "LFPG 071230Z 02008KT 340V050 9999 FEW030 19/09 Q1029"


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ("LFPG 071230Z NIL", {}, "the report says that there is none (NIL)"),
        ("LFPG 071230Z AUTO /////KT //// // ////// 08/07 Q1030", {}, "has neither wind"),
        ("LFPG 071230Z 0050 FG VV001 06/06 Q1027", {}, "no wind with a unit"),
        ("LFPG 071230Z 24010 9999 FEW030 06/06 Q1027", {}, "no wind with a unit"),
        ("LFPG 071230Z 240299KT 9999 FEW030 06/06 Q1027", {}, "wind of more than 115 m/s"),
        ("LFPG 071230Z 37010KT 9999 FEW030 06/06 Q1027", {}, "cannot be read"),
        ("LFPG 071230Z 02008KT 9999 XYZZY FEW030 19/09 Q1029", {}, "cannot be read"),
        ("LFPG 071230Z 02008KT 9999 \x00 FEW030 19/09 Q1029", {}, "not plain text"),
        (GOOD, {"metar": ""}, "the report is of another station"),
        (GOOD, {"metar": "M"}, "cannot be read"),
        (GOOD, {"metar": GOOD.replace("LFPG", "LFPO")}, "the report is of another station"),
        (GOOD, {"station": "LFPO"}, "the row is of another station"),
        (GOOD, {"valid": "2021-10-07 12:31"}, "of another time than the row"),
        (GOOD, {"valid": "2021-10-08 12:30"}, "the row is of another day"),
        (GOOD, {"valid": "noon"}, "valid is not a time"),
        (GOOD, {"metar": None}, "does not have 3 values"),
        (GOOD, {None: ["x"]}, "does not have 3 values"),
    ],
)
def test_each_reason(text: str, changes: dict[Any, Any], said: str) -> None:
    found = judge([row(text) | changes], "LFPG", DAY)[0]
    assert found.report is None
    assert said in str(found.reason)
    assert found.row == row(text) | changes


def test_the_archive_knows_an_american_station_without_its_k() -> None:
    assert judged("KJFK 071251Z 18012KT 10SM CLR 17/16 A3012", station="JFK").reason is None


@pytest.mark.parametrize(
    ("text", "is_correction"),
    [
        (GOOD, False),
        (f"METAR COR {GOOD}", True),
        (GOOD.replace("Z ", "Z COR "), True),
        (GOOD.replace("Z ", "Z CCB "), True),
        (GOOD.replace("Z ", "Z AUTO "), False),
    ],
)
def test_a_correction_is_known(text: str, is_correction: bool) -> None:
    assert judge([row(GOOD, metar=text)], "LFPG", DAY)[0].is_correction is is_correction


def test_of_one_time_what_corrects_nothing_is_new_and_what_is_stored_stays() -> None:
    corrected = row(GOOD, metar=GOOD.replace("Z 02008KT", "Z COR 03008KT"))
    spaced = row(GOOD, metar=GOOD.replace(" ", "  "))
    both = judge([corrected, row(GOOD), spaced], "LFPG", DAY)
    at = datetime(2021, 10, 7, 12, 30, tzinfo=UTC)
    new, rejected, window = _sort(both, {})
    assert [one["report"] for one in new] == [GOOD]
    assert rejected == [(corrected, TIME_TAKEN)]
    assert window == (at, at)
    new, rejected, window = _sort(both, {at: corrected["metar"]})
    assert not new
    assert window == (None, None)
    assert [reason for _, reason in rejected] == [TIME_TAKEN, TIME_TAKEN]


def test_the_history_s_airports_count_on_the_days_that_it_has() -> None:
    settings = Settings(watch_airports=("LFPG", "EHAM"), history_airports=("LSZH", "LFPG"))
    assert airports(date(2019, 3, 1), settings) == ("LFPG", "EHAM", "LSZH")
    assert airports(DAY, settings) == ("LFPG", "EHAM")


def test_a_place_is_named_without_its_query() -> None:
    found = place("https://example.org/a?key=hidden&s={airport}&f={day}&t={next_day}", "LFPG",
                  date(2021, 12, 31))  # fmt: skip
    assert found.location == "https://example.org/a?key=hidden&s=LFPG&f=2021-12-31&t=2022-01-01"
    assert (found.name, found.is_web) == ("example.org", True)
    found = place("/data/{airport}-{day}.csv", "LFPG", DAY)
    assert (found.name, found.is_web) == ("LFPG-2021-10-07.csv", False)


def test_a_file_is_read_and_a_missing_one_has_no_rows(tmp_path: Path) -> None:
    template = f"{tmp_path}/{{airport}}-{{day}}.csv"
    (tmp_path / "LFPG-2021-10-07.csv").write_text(
        f"station,valid,metar\nLFPG,2021-10-07 12:30,{GOOD}\n"
    )
    assert read_reports(place(template, "LFPG", DAY)) == [row(GOOD)]
    assert read_reports(place(template, "LFPO", DAY)) == []


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("station,valid,tmpf\nLFPG,2021-10-07 12:30,60\n", "station, valid, tmpf"),
        ("<!DOCTYPE html>\n<html>\n", "<!DOCTYPE html>"),
        ("", "missing"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, columns: str) -> None:
    (tmp_path / "LFPG-2021-10-07").write_text(text)
    with pytest.raises(SkyOpsError) as caught:
        read_reports(place(f"{tmp_path}/{{airport}}-{{day}}", "LFPG", DAY))
    said = str(caught.value)
    assert f"no METARs for LFPG on 2021-10-07: its columns are {columns} instead of" in said
    assert "SKYOPS_METAR_URL" in said
