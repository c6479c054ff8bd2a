"""What operators' files say: columns, values, rows, and rows that contradict each other."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.sources.operator.files import read_rows
from skyops_assets.sources.operator.judge import Judged, Reader, longest_rise, settle
from skyops_assets.sources.operator.kinds import BY_NAME, KINDS
from skyops_assets.sources.operator.mapping import SHIPPED, Mapped, mapping_of, read_mappings
from skyops_assets.sources.operator.values import (
    EXCHANGED_FROM,
    Known,
    Unreadable,
    callsign,
    exchanged_days,
    instant,
)
from tests.support.operator import (
    BAD,
    CHANGED,
    GOOD,
    as_csv,
    as_excel,
    as_json,
    as_json_lines,
)

KNOWN = Known(
    date(2026, 1, 1),
    {"CDG": "LFPG", "JFK": "KJFK", "LHR": "EGLL"},
    {"LFPG": "Europe/Paris", "KJFK": "America/New_York", "EGLL": "Europe/London"},
)
ALL = [kind.name for kind in KINDS]


def judge(
    kind: str,
    body: bytes,
    name: str = "x.csv",
    mapped: Mapped = Mapped(),  # noqa: B008
) -> list[Judged]:
    names, rows = read_rows(name, body, mapped)
    return Reader(BY_NAME[kind], mapped, KNOWN).judge(name, names, rows)[0]


def values(kind: str, *rows: dict[str, Any], mapped: Mapped = Mapped()) -> list[Any]:  # noqa: B008
    found = judge(kind, as_csv(rows), mapped=mapped)
    assert [one.reason for one in found] == [None] * len(found)
    return [one.values for one in found]


def mapping(text: str, kind: str) -> Mapped:
    [one] = read_mappings(text.encode(), BY_NAME[kind])
    return one


# Rows


@pytest.mark.parametrize("kind", ALL)
def test_a_row_is_the_same_from_csv_json_and_excel(kind: str) -> None:
    rows = [GOOD[kind], GOOD[kind] | CHANGED[kind]]
    wanted = values(kind, *rows)
    assert len(wanted) == 2
    assert wanted[0] != wanted[1]
    packed = gzip.compress(as_csv(rows))
    for name, body in (
        ("x.json", as_json(rows)), ("x.jsonl", as_json_lines(rows)), ("x.xlsx", as_excel(rows)),
        ("x.csv.gz", packed), ("x.csv", as_csv(rows).replace(b",", b";")),
        ("x.csv", as_csv(rows).decode().encode("utf-16")),
    ):  # fmt: skip
        assert [one.values for one in judge(kind, body, name)] == wanted, name


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [(kind, change, reason) for kind, cases in BAD.items() for change, reason in cases],
)
def test_what_cannot_be_is_rejected_with_its_reason(
    kind: str, change: dict[str, Any], reason: str
) -> None:
    first, bad = judge(kind, as_csv([GOOD[kind], GOOD[kind] | change]))
    assert first.values is not None
    assert bad.values is None
    assert reason in str(bad.reason)


def test_each_column_of_ours_is_that_of_the_file_in_any_case() -> None:
    row = {name.upper(): value for name, value in GOOD["parts"].items()}
    assert values("parts", row) == values("parts", GOOD["parts"])


def test_names_are_normal_registrations_parts_and_codes() -> None:
    [event] = values(
        "maintenance_events",
        GOOD["maintenance_events"] | {"airframe": " f-gkxa", "jasc_code": "32-41-31"},
    )
    assert (event["airframe"], event["part_number"]) == ("FGKXA", "C206-1")
    assert event["jasc_code"] == "3241"
    [event] = values("maintenance_events", GOOD["maintenance_events"] | {"jasc_code": 512})
    assert event["jasc_code"] == "0512"
    [part] = values("parts", GOOD["parts"] | {"jasc_code": "32"})
    assert part["jasc_code"] == "3200"


def test_readings_may_be_a_list_and_are_in_the_order_of_their_numbers() -> None:
    row = {"fleet": "A", "unit": 1, "cycle": 1, **{f"sensor_{n}": n for n in (10, 2, 1)}}
    [one] = values("sensor_readings", row)
    assert one["sensors"] == [1.0, 2.0, 10.0]
    [listed] = judge(
        "sensor_readings",
        as_json([{"fleet": "A", "unit": 1, "cycle": 1, "sensors": [1, None, 10]}]),
        "x.json",
    )
    assert listed.values is not None
    assert listed.values["sensors"] == [1.0, None, 10.0]
    assert listed.values["settings"] == []


# Times, airports, callsigns


SCHEDULE = {
    "Flight": "AF 0123A", "From": "CDG", "To": "JFK", "STD": "30/03/2025 10:00",
    "STA": "30/03/2025 12:30", "Status": "CNL", "Code": "41",
}  # fmt: skip
TOML = """
[schedules]
times = "%d/%m/%Y %H:%M"
zone = "airport"
designators = { AF = "AFR" }

[schedules.columns]
flight_number = "Flight"
departure_airport = "From"
arrival_airport = "To"
scheduled_departure_at = "STD"
scheduled_arrival_at = "STA"
is_cancelled = "Status"
is_technical = "Code"

[schedules.codes]
is_cancelled = { true = ["CNL"], false = ["*"] }
is_technical = { true = ["41", "42"], false = ["*"] }
"""


def test_a_schedule_is_read_by_its_mapping() -> None:
    [one, other] = values(
        "schedules", SCHEDULE, SCHEDULE | {"Flight": "AF9", "Status": "OPS", "Code": ""},
        mapped=mapping(TOML, "schedules"),
    )  # fmt: skip
    assert one["callsign"] == "AFR123A"
    assert (one["departure_airport"], one["arrival_airport"]) == ("LFPG", "KJFK")
    # Summer time began that morning in Paris, and three weeks before in New York.
    assert one["scheduled_departure_at"] == datetime(2025, 3, 30, 8, tzinfo=UTC)
    assert one["scheduled_arrival_at"] == datetime(2025, 3, 30, 16, 30, tzinfo=UTC)
    assert (one["is_cancelled"], one["is_technical"]) == (True, True)
    assert (other["is_cancelled"], other["is_technical"]) == (False, None)


def test_an_hour_that_clocks_leave_out_is_rejected_and_one_shown_twice_is_the_first() -> None:
    with pytest.raises(Unreadable, match="2025-03-30 02:30 does not exist in Europe/Paris"):
        instant(datetime(2025, 3, 30, 2, 30), "Europe/Paris")
    assert instant(datetime(2025, 10, 26, 2, 30), "Europe/Paris").hour == 0
    row = SCHEDULE | {"To": "CDG", "STD": "26/10/2025 02:30", "STA": "26/10/2025 02:20"}
    [one] = values("schedules", row, mapped=mapping(TOML, "schedules"))
    # The first 02:20 would be before the departure.
    flight = one["scheduled_arrival_at"] - one["scheduled_departure_at"]
    assert flight == timedelta(minutes=50)


def test_a_time_with_an_offset_is_of_that_offset_whatever_the_zone() -> None:
    mapped = Mapped(zone="Europe/Paris")
    row = GOOD["schedules"] | {"scheduled_departure_at": "2025-03-31T08:00:00-05:00",
                               "scheduled_arrival_at": "2025-03-31 16:00"}  # fmt: skip
    [one] = values("schedules", row, mapped=mapped)
    assert one["scheduled_departure_at"].hour == 13
    assert one["scheduled_arrival_at"].hour == 14


@pytest.mark.parametrize(
    ("told", "found"),
    [("AFR12", "AFR12"), ("afr 12x", "AFR12X"), ("AF0012", "AFR12"), ("U2 8AB", None),
     ("U2815", "EZY815"), ("BA12", None), ("FGKXA", None)],
)  # fmt: skip
def test_a_flight_number_is_a_callsign_where_the_designator_is_told(
    told: str, found: str | None
) -> None:
    mapped = Mapped(designators={"AF": "AFR", "U2": "EZY"})
    if found is None:
        with pytest.raises(Unreadable):
            callsign(told, mapped)
    else:
        assert callsign(told, mapped) == found


def test_days_and_months_that_a_spreadsheet_exchanged_are_found_by_their_sorts() -> None:
    mapped = Mapped(times=("%m/%d/%Y",))
    texts: list[Any] = [f"3/{day}/2025" for day in range(13, 13 + EXCHANGED_FROM)]
    cells: list[Any] = [datetime(2025, 6, day) for day in range(1, 1 + EXCHANGED_FROM)]
    assert exchanged_days([*texts, *cells, None, ""], mapped)
    assert not exchanged_days([*texts[1:], *cells], mapped)
    assert not exchanged_days(cells, mapped)
    assert not exchanged_days([*texts, *cells, datetime(2025, 6, 13)], mapped)
    assert not exchanged_days([*texts, *cells, "3/12/2025"], mapped)


# Rows that contradict each other


@pytest.mark.parametrize("kind", ALL)
def test_of_rows_with_one_key_the_last_counts_and_the_others_are_repeated_or_rejected(
    kind: str,
) -> None:
    changed = GOOD[kind] | CHANGED[kind]
    rows = judge(kind, as_csv([changed, GOOD[kind], changed]))
    assert settle(BY_NAME[kind], rows) == [rows[2]]
    assert rows[0].is_repeated
    assert "row 3 of x.csv contradicts" in str(rows[1].reason)


def test_hours_and_cycles_of_an_airframe_do_not_fall() -> None:
    """One slip costs its own row, whether it is too high or too low."""
    told = [("2025-01-01", 100), ("2025-02-01", 9000), ("2025-03-01", 110), ("2025-04-01", 120)]
    rows = [
        GOOD["maintenance_events"]
        | {"event_id": f"E{n}", "occurred_on": day, "airframe_hours": hours, "airframe_cycles": ""}
        for n, (day, hours) in enumerate(told)
    ]
    found = judge("maintenance_events", as_csv(rows))
    kept = settle(BY_NAME["maintenance_events"], found)
    assert [one.values["event_id"] for one in kept] == ["E0", "E2", "E3"]
    assert found[1].reason == (
        "airframe_hours 9000.0 at occurred_on 2025-02-01 does not fit the other rows of "
        "FGKXA: it would fall"
    )


def test_a_unit_has_no_readings_after_its_failure_and_its_days_do_not_fall() -> None:
    rows = [
        GOOD["sensor_readings"] | {"cycle": cycle, "is_failed": failed, "observed_on": day}
        for cycle, failed, day in (
            (1, 0, "2025-01-01"), (2, 0, "2024-01-01"), (3, 1, "2025-01-03"), (4, 0, "2025-01-04"),
        )
    ]  # fmt: skip
    found = judge("sensor_readings", as_csv(rows))
    kept = settle(BY_NAME["sensor_readings"], found)
    assert [one.values["cycle"] for one in kept] == [2, 3]
    assert "failed before, at cycle 3" in str(found[3].reason)


@pytest.mark.parametrize(
    ("given", "length"),
    [([], 0), ([1], 1), ([3, 2, 1], 1), ([1, 9, 2, 3], 3), ([5, 5, 5], 3), ([1, 2, 0, 3], 3)],
)
def test_the_longest_rise(given: list[int], length: int) -> None:
    places = longest_rise(given)
    assert len(places) == length
    found = [given[place] for place in places]
    assert found == sorted(found)
    assert places == sorted(set(places))


# Files


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x.csv", b"", "is empty"),
        ("x.csv", b"\n \n", "is empty"),
        ("x.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is neither CSV, JSON nor Excel"),
        ("x.csv", gzip.compress(b"part_number,part_name\n1,2\n" * 99, mtime=0)[:40], "is damaged"),
        ("x.json", b'{"a": 1,\n "b": [1]}', "is not an array of objects"),
        ("x.json", b"3", "is not an array of objects"),
        ("x.json", b"part_number,part_name\n1,2\n", "is not JSON"),
        ("x.json", b"[" * 100_000, "is not JSON"),
        ("x.xlsx", b"PK\x03\x04 torn", "is a damaged Excel file"),
        ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is a damaged Excel file"),
        ("x.csv", b"number,name\n1,2\n", "has no column part_number. It has number, name."),
    ],
    # Bodies are long, and no names.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_says_what_to_do(name: str, body: bytes, said: str) -> None:
    with pytest.raises(SkyOpsError, match=said):
        judge("parts", body, name)


def test_a_workbook_torn_anywhere_is_damaged_and_nothing_worse() -> None:
    body = as_excel([GOOD["parts"]])
    for end in range(4, len(body), 211):
        with pytest.raises(SkyOpsError, match="is a damaged Excel file"):
            judge("parts", body[:end], "x.xlsx")


def test_torn_lines_cost_themselves() -> None:
    body = b'part_number,part_name\nP1,Brake\nP2\nP3,a,b\nP4,"x\nP5,Wheel\n'
    found = judge("parts", body)
    assert sorted(str(one.reason) for one in found if one.values is None) == [
        "the line cannot be taken apart",
        "the line has 1 fields instead of 2",
        "the line has 3 fields instead of 2",
    ]
    kept = [one.values["part_number"] for one in found if one.values]
    assert kept == ["P1", "P5"]
    [good, bad] = judge("parts", b'{"part_number": 1, "part_name": "a"}\n[1]\n', "x.json")
    assert good.values is not None
    assert bad.reason == "it is not an object"


def test_text_of_another_encoding_is_read_where_it_is_named() -> None:
    body = "part_number,part_name\nP1,Fußpumpe\n".encode("cp1252")
    assert "is not UTF-8" in str(judge("parts", body)[0].reason)
    [one] = judge("parts", body, mapped=Mapped(encoding="cp1252"))
    assert one.values is not None
    assert one.values["part_name"] == "Fußpumpe"


# Mappings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[parts", "columns.toml cannot be read"),
        ('[parts]\nlike = "faa"', "like is 'faa'; SkyOps has faa-sdr, fd001"),
        ('[parts]\nlike = "fd001"', "fd001 is not a mapping of parts"),
        ("[parts]\ncolums = {}", "'colums', which is unknown"),
        ('[parts.columns]\nname = "x"', "columns names 'name'; parts have part_number"),
        ('[parts]\nzone = "Paris"', "zone is 'Paris', which is not a time zone"),
        ('[parts]\nencoding = "ansi5"', "encoding is 'ansi5', which is none"),
        ("[parts]\ntimes = 3", "times is not a text or list of texts"),
        ('[parts]\ncodes.jasc_code = ["x"]', "not lists named true and false"),
        ("parts = 3", "is not a table: 3"),
    ],
)
def test_a_mapping_that_nobody_understands_says_so(text: str, said: str) -> None:
    with pytest.raises(SkyOpsError, match=said):
        read_mappings(text.encode(), BY_NAME["parts"])


def test_a_column_that_the_mapping_names_must_be_there() -> None:
    mapped = mapping('[parts.columns]\njasc_code = "ATA"', "parts")
    with pytest.raises(SkyOpsError, match=r"no column 'ATA', which columns\.toml names for jasc"):
        judge("parts", as_csv([GOOD["parts"]]), mapped=mapped)


def test_of_a_mapping_that_ships_a_column_may_be_missing_unless_it_is_named_anew() -> None:
    body = b"OperatorControlNumber,DifficultyDate\nE1,4/16/2025\n"
    like = '[maintenance_events]\nlike = "faa-sdr"\n'
    [one] = judge("maintenance_events", body, mapped=mapping(like, "maintenance_events"))
    assert one.values is not None
    assert one.values["occurred_on"] == date(2025, 4, 16)
    named = mapping(f'{like}columns.task = "Card"', "maintenance_events")
    with pytest.raises(SkyOpsError, match="has no column 'Card'"):
        judge("maintenance_events", body, mapped=named)


def test_the_first_mapping_that_fits_a_files_name_counts() -> None:
    text = b'[[parts]]\nfiles = "a*"\ndecimal = ","\n[[parts]]\nfiles = ["b*.csv"]'
    mappings = read_mappings(text, BY_NAME["parts"])
    assert [mapping_of(name, mappings) for name in ("A1.csv", "b.csv", "b.txt")] == [
        *mappings,
        None,
    ]
    assert mapping_of("any", []) == Mapped()


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_what_ships_can_be_understood_and_changed(path: Any) -> None:
    kinds = [kind for kind in KINDS if f"[{kind.name}]" in path.read_text()]
    assert kinds
    for kind in kinds:
        text = f'[{kind.name}]\nlike = "{path.stem}"\nmissing = "X"'
        found = read_mappings(text.encode(), kind)
        assert found
        assert all(one.missing == ("X",) for one in found)


def test_decimal_commas() -> None:
    [part] = values("parts", GOOD["parts"] | {"life_limit_hours": "20.000,5"},
                    mapped=Mapped(decimal=","))  # fmt: skip
    assert part["life_limit_hours"] == 20000.5


def test_the_pages_example_can_be_understood() -> None:
    page = (PROJECT_ROOT / "docs" / "operator_data.md").read_text()
    [text] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    found = {kind.name: read_mappings(text.encode(), kind) for kind in KINDS}
    assert {name: len(mappings) for name, mappings in found.items() if mappings} == {
        "schedules": 1, "maintenance_events": 2, "sensor_readings": 2
    }  # fmt: skip
    row = SCHEDULE | {"Delay code": "41"}
    [one] = values("schedules", row, mapped=found["schedules"][0])
    assert (one["callsign"], one["is_technical"]) == ("AFR123A", True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_page_names_every_column(kind: Any) -> None:
    page = (PROJECT_ROOT / "docs" / "operator_data.md").read_text()
    [line] = [one for one in page.splitlines() if one.startswith(f"| `{kind.name}` |")]
    for column in kind.columns:
        assert f"`{column.name}`{'*' * column.is_required}" in line
