"""An operator's files in a real warehouse: from a folder and from a bucket."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.quality.operator_files import accounts_problem, file_accounts, reading_problem
from skyops_assets.settings import Settings
from skyops_assets.sources.operator.kinds import BY_NAME, KINDS
from skyops_assets.sources.operator.load import Loaded, load_kind
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.operator import BAD, CHANGED, GOOD, as_csv, as_excel, as_json
from tests.support.servers import PASSWORD, object_store

pytestmark = pytest.mark.xdist_group("operator")

TODAY = date(2026, 1, 1)
FAA = "maintenance/faa-sdr-737/FAA_SDR_Boeing737_ATA32_2024_2025.xlsx"
FD001 = "maintenance/cmapss-fd001"
ALL = [kind.name for kind in KINDS]
Load = Callable[[str], Loaded]


@pytest.fixture
def warehouse(shared_warehouse: Warehouse, query: Query) -> Warehouse:
    """The module's warehouse without what the test before has loaded."""
    tables = ", ".join(kind.target for kind in KINDS)
    query(
        shared_warehouse,
        f"truncate raw.operator_files, raw.rejected_states, {tables}, raw.airports",
    )
    return shared_warehouse


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Load:
    """Load a kind from the test's folder; what is then stored is accounted for."""
    settings = Settings(operator_data=str(tmp_path))

    def run(kind: str) -> Loaded:
        found = load_kind(warehouse, settings, BY_NAME[kind], today=TODAY)
        target = BY_NAME[kind].target
        assert accounts_problem(target, file_accounts(warehouse, target)) is None
        return found

    return run


def problem(warehouse: Warehouse, kind: str, limit: float = 0.05) -> str:
    target = BY_NAME[kind].target
    return str(reading_problem(target, file_accounts(warehouse, target), limit))


def sources(warehouse: Warehouse, query: Query, kind: str) -> list[tuple[Any, ...]]:
    return query(warehouse, f"select source, source_row from raw.{kind} order by 1, 2")


def counts(found: Loaded) -> list[tuple[int, int, int, int]]:
    return [
        (one.read_rows, one.loaded_rows, one.duplicate_rows, one.rejected_rows)
        for one in found.batches
    ]


def by_hand(path: Path) -> list[dict[str, Any]]:
    """The rows of the FAA's workbook, straight from its XML."""
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:
        shared = [
            "".join(text.text or "" for text in item.iter(f"{main}t"))
            for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
        ]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    rows: list[dict[str, Any]] = []
    for line in sheet.iter(f"{main}row"):
        cells = {}
        for cell in line:
            value = cell.find(f"{main}v")
            if value is not None and value.text is not None:
                column = re.sub(r"\d", "", cell.get("r", ""))
                is_text = cell.get("t") == "s"
                cells[column] = shared[int(value.text)] if is_text else float(value.text)
        rows.append(cells)
    header = rows[0]
    return [{header[column]: value for column, value in row.items()} for row in rows[1:]]


def difficulty_date(value: Any) -> date:
    """Text is month first; what the spreadsheet made a date of was taken as day first."""
    if isinstance(value, str):
        return datetime.strptime(value, "%m/%d/%Y %H:%M:%S").date()
    day = date(1899, 12, 30) + timedelta(days=value)
    return date(day.year, day.day, day.month)


def told_in_json(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reports with their dates as the FAA writes them; what is missing has no name at all."""
    return [
        row | {"DifficultyDate": f"{difficulty_date(row['DifficultyDate']):%m/%d/%Y}"}
        if "DifficultyDate" in row
        else row
        for row in rows
    ]


def as_text(row: dict[str, Any], names: list[str]) -> dict[str, str]:
    """A report as CSV has it: whole numbers without a fraction."""
    [told] = told_in_json([row])
    return {
        name: str(int(value)) if isinstance(value := told.get(name, ""), float) else value
        for name in [*names, "NatureOfConditionB", "ComponentName"]
    }


@pytest.mark.mirror
def test_the_faas_reports_are_read_to_the_row(
    warehouse: Warehouse, load: Load, mirror: Path, tmp_path: Path, query: Query
) -> None:
    (tmp_path / "maintenance_events").mkdir()
    (tmp_path / "maintenance_events" / "export.xlsx").write_bytes((mirror / FAA).read_bytes())
    (tmp_path / "columns.toml").write_text('[maintenance_events]\nlike = "faa-sdr"\n')
    found = load("maintenance_events")
    told = by_hand(mirror / FAA)
    # Seven rows only go on with the text of the row above.
    reports = [row for row in told if "OperatorControlNumber" in row]
    assert (len(told), len(reports)) == (491, 484)
    assert counts(found) == [(491, 484, 0, 7)]
    assert found.problems == {}
    assert "day and month of 168 dates in DifficultyDate" in found.notes[0]

    stored = query(warehouse, "select jasc_code, count(*) from raw.maintenance_events group by 1")
    assert dict(stored) == Counter(str(int(row["JASCCode"])) for row in reports)
    rows = query(
        warehouse,
        "select event_id, occurred_on, airframe, airframe_hours, airframe_cycles, part_hours "
        "from raw.maintenance_events order by 1",
    )
    text = {row["OperatorControlNumber"]: row.get("RegistryNNumber") for row in reports}
    names = {k: v if v is None or isinstance(v, str) else str(int(v)) for k, v in text.items()}
    wanted = [
        (
            row["OperatorControlNumber"],
            difficulty_date(row["DifficultyDate"]),
            (name := names[row["OperatorControlNumber"]]) and f"N{name}",
            row.get("AircraftTotalTime"),
            row.get("AircraftTotalCycles"),
            row.get("PartTotalTime"),
        )
        for row in reports
    ]
    assert rows == sorted(wanted)
    assert query(warehouse, "select distinct is_scheduled from raw.maintenance_events") == [
        (False,)
    ]
    reasons = query(warehouse, "select reason, count(*) from raw.rejected_states group by 1")
    assert reasons == [("event_id is missing", 7)]

    again = load("maintenance_events")
    assert counts(again) == [(491, 0, 491, 0)]
    # As CSV and as JSON the same events are the same rows: none is new or has another value.
    texts = [as_text(row, list(told[0])) for row in told]
    (tmp_path / "maintenance_events" / "export.xlsx").unlink()
    for name, body in (("a.csv", as_csv(texts)), ("b.json", as_json(told_in_json(told)))):
        (tmp_path / "maintenance_events" / name).write_bytes(body)
        found = load("maintenance_events")
        assert counts(found)[-1] == (491, 0, 484, 7)
        [(name_stored, rows_stored)] = query(
            warehouse, "select source, count(*) from raw.maintenance_events group by 1"
        )
        assert (name_stored, rows_stored) == (f"maintenance_events/{name}", 484)


@pytest.mark.mirror
def test_nasas_text_files_are_read_by_their_mapping(
    warehouse: Warehouse, load: Load, mirror: Path, tmp_path: Path, query: Query
) -> None:
    (tmp_path / "sensor_readings").mkdir()
    for path in (mirror / FD001).iterdir():
        (tmp_path / "sensor_readings" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "columns.toml").write_text('[sensor_readings]\nlike = "fd001"\n')
    found = load("sensor_readings")
    assert counts(found) == [(13096, 13096, 0, 0), (20631, 20631, 0, 0)]
    assert found.left == ["sensor_readings/RUL_FD001.txt", "sensor_readings/readme_nasa.txt"]
    lines = [
        list(map(float, line.split()))
        for line in (mirror / FD001 / "train_FD001.txt").read_text().splitlines()
    ]
    rows = query(
        warehouse,
        "select unit::float, cycle::float, settings, sensors from raw.sensor_readings "
        "where fleet = 'FD001' order by 1, 2",
    )
    assert [[unit, cycle, *settings, *sensors] for unit, cycle, settings, sensors in rows] == lines
    lives = query(
        warehouse,
        "select unit::int, max(cycle) from raw.sensor_readings where is_failed "
        "group by 1 order by 1",
    )
    last = {int(line[0]): int(line[1]) for line in lines}
    assert lives == sorted(last.items())


# Each kind: absent, empty, damaged, contradictory


@pytest.mark.parametrize("kind", ALL)
def test_an_absent_input_says_what_to_put_where(
    kind: str, warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    noun = kind.replace("_", " ")
    unset = load_kind(warehouse, Settings(), BY_NAME[kind])
    assert str(unset.absent).startswith(f"No {noun}: put a CSV, JSON or Excel file named {kind}")
    assert "set SKYOPS_OPERATOR_DATA to it" in str(unset.absent)
    # What is of another kind, hidden, or open in Excel, is none either.
    (tmp_path / f".{kind}.csv").write_text("x")
    (tmp_path / f"~${kind}.xlsx").write_text("x")
    (tmp_path / f"{kind}_old.csv").write_text("x")
    found = load(kind)
    assert f"into {tmp_path} (SKYOPS_OPERATOR_DATA)" in str(found.absent)
    assert (found.batches, found.problems) == ([], {})


DAMAGED = {
    "empty.csv": b"",
    "binary.csv": bytes(range(256)) * 10,
    "encoding.csv": "\u00c4rger,\u00dcbel\n1,2\n".encode("cp1252"),
    "object.json": b'{\n"rows": 3}',
    "torn.json": b'[{"a": 1}, {"a"',
    "torn.xlsx": as_excel([{"a": 1}])[:500],
    "torn.csv.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\3torn",
}


@pytest.mark.parametrize("kind", ALL)
def test_damaged_files_are_named_and_cost_the_others_nothing(
    kind: str, warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    folder = tmp_path / kind
    folder.mkdir()
    (folder / "README.md").write_text("what is here")
    (folder / "header.csv").write_bytes(as_csv([GOOD[kind]]).splitlines(keepends=True)[0])
    (folder / "good.csv").write_bytes(as_csv([GOOD[kind]]))
    airports(warehouse, query)
    assert counts(load(kind)) == [(1, 1, 0, 0), (0, 0, 0, 0)]
    for name, body in DAMAGED.items():
        (folder / name).write_bytes(body)
    found = load(kind)
    assert counts(found) == [(1, 0, 1, 0), (0, 0, 0, 0)]
    assert set(found.problems) == {f"{kind}/{name}" for name in DAMAGED}
    assert found.left == [f"{kind}/README.md"]
    assert found.notes == [f"{kind}/header.csv has no rows."]
    said = problem(warehouse, kind)
    assert f"{kind}/binary.csv is neither CSV, JSON nor Excel. Export it again" in said
    assert f"Then materialise raw/{kind}." in said
    # What was good and is damaged now stays as it was.
    (folder / "good.csv").write_bytes(b"")
    assert load(kind).removed_rows == 0
    assert sources(warehouse, query, kind) == [(f"{kind}/good.csv", 1)]
    assert f"{kind}/good.csv is empty" in problem(warehouse, kind)


@pytest.mark.parametrize("kind", ALL)
def test_rows_that_contradict_each_other_or_cannot_be_are_accounted_for(
    kind: str, warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    airports(warehouse, query)
    good, changed = GOOD[kind], GOOD[kind] | CHANGED[kind]
    bad = [good | change for change, _ in BAD[kind] if "\udce9" not in str(change)]
    # Twice the same bad row, which is kept once.
    (tmp_path / f"{kind}.csv").write_bytes(as_csv([good, changed, good, *bad, bad[0], changed]))
    found = load(kind)
    read, rejected = len(bad) + 5, len(bad) + 1
    assert counts(found) == [(read, 1, read - 1 - rejected, rejected)]
    assert sources(warehouse, query, kind) == [(f"{kind}.csv", read)]
    assert f"of {read} rows are rejected" in problem(warehouse, kind)
    assert found.reasons.total() == rejected + 2
    # Corrected, nothing is left of it.
    (tmp_path / f"{kind}.csv").write_bytes(as_csv([changed]))
    assert counts(load(kind)) == [(1, 0, 1, 0)]
    assert query(warehouse, "select count(*) from raw.rejected_states") == [(0,)]
    assert problem(warehouse, kind) == "None"


# The folder is the truth


@pytest.mark.parametrize("kind", ALL)
def test_loading_again_changes_nothing_and_a_changed_file_replaces_its_rows(
    kind: str, warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    airports(warehouse, query)
    names = [column.name for column in BY_NAME[kind].columns]
    other = other_row(kind)
    path = tmp_path / f"{kind}.csv"
    path.write_bytes(as_csv([GOOD[kind], other]))
    assert counts(load(kind)) == [(2, 2, 0, 0)]
    everything = f"select * from raw.{kind} order by source_row"
    before = query(warehouse, everything)
    found = load(kind)
    assert (counts(found), found.removed_rows) == ([(2, 0, 2, 0)], 0)
    assert query(warehouse, everything) == before
    # The first row has another value now; the second is gone, and then the whole file.
    path.write_bytes(as_csv([GOOD[kind] | CHANGED[kind]]))
    found = load(kind)
    assert (counts(found), found.removed_rows) == ([(1, 1, 0, 0)], 1)
    [row] = query(warehouse, f"select {', '.join(names)} from raw.{kind}")
    assert row != before[0][: len(names)]
    path.unlink()
    assert load(kind).removed_rows == 0
    assert query(warehouse, f"select {', '.join(names)} from raw.{kind}") == [row]
    # The same as Excel, under another name: the row is that file's.
    (tmp_path / f"{kind}.xlsx").write_bytes(as_excel([GOOD[kind] | CHANGED[kind]]))
    assert counts(load(kind)) == [(1, 0, 1, 0)]
    assert query(warehouse, f"select {', '.join(names)} from raw.{kind}") == [row]
    assert sources(warehouse, query, kind) == [(f"{kind}.xlsx", 1)]


def other_row(kind: str) -> dict[str, Any]:
    """A second row, with another key."""
    key = {"schedules": "AFR124", "sensor_readings": "8", "exposure": "F-GKXB",
           "configurations": "F-GKXB"}  # fmt: skip
    name = {"sensor_readings": "unit"}.get(kind, BY_NAME[kind].key[0])
    return GOOD[kind] | {name: key.get(kind, "OTHER")}


def test_of_files_the_last_by_name_counts_also_while_it_cannot_be_read(
    warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "2024.json").write_bytes(as_json([GOOD["parts"]]))
    (folder / "2025.csv").write_bytes(as_csv([GOOD["parts"] | CHANGED["parts"]]))
    assert counts(load("parts")) == [(1, 0, 0, 1), (1, 1, 0, 0)]
    reasons = query(warehouse, "select reason from raw.rejected_states")
    assert "row 1 of parts/2025.csv contradicts part_number C206-1" in reasons[0][0]
    (folder / "2025.csv").write_bytes(b"")
    load("parts")
    assert query(warehouse, "select part_name, source from raw.parts") == [
        ("Wheel", "parts/2025.csv")
    ]
    (folder / "2025.csv").unlink()
    assert counts(load("parts")) == [(1, 1, 0, 0)]
    assert query(warehouse, "select part_name, source from raw.parts") == [
        ("Brake", "parts/2024.json")
    ]


def test_a_file_with_nearly_no_good_row_is_read_wrongly_and_removes_nothing(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    rows = [GOOD["parts"] | {"part_number": f"P{n}"} for n in range(20)]
    (tmp_path / "parts.csv").write_bytes(as_csv(rows))
    load("parts")
    (tmp_path / "parts.csv").write_bytes(
        as_csv([row | {"life_limit_cycles": "9k"} for row in rows])
    )
    found = load("parts")
    said = problem(warehouse, "parts")
    assert "20 of its 20 rows are no parts, 20 of them because life_limit_cycles: " in said
    assert "'9k' is not a number" in said
    assert (found.batches, found.removed_rows) == ([], 0)


def test_a_mapping_that_cannot_be_read_changes_nothing(
    warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    (tmp_path / "parts.csv").write_bytes(as_csv([GOOD["parts"]]))
    load("parts")
    (tmp_path / "columns.toml").write_text("[parts]\nlike = 'nobody'")
    load("parts")
    said = problem(warehouse, "parts")
    assert "parts.csv is not read: columns.toml, [parts]: like is 'nobody'" in said
    assert query(warehouse, "select count(*) from raw.parts") == [(1,)]


def test_a_folder_that_is_not_there_fails(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = Settings(operator_data=str(tmp_path / "none"))
    with pytest.raises(SkyOpsError, match="which does not exist"):
        load_kind(warehouse, settings, BY_NAME["parts"])


def test_strange_text_can_be_kept(warehouse: Warehouse, load: Load, tmp_path: Path) -> None:
    """What Postgres' JSON does not take: NUL, half characters, NaN; also as a name."""
    strange = {"part_name": "", "a\x00\ud800": ["\x00", {"\x00": float("nan")}]}
    (tmp_path / "parts.json").write_text(json.dumps([{**GOOD["parts"]}, strange]))
    assert counts(load("parts")) == [(2, 1, 0, 1)]


def test_the_accounts_go_red_where_rows_are_written_or_removed_around_the_loader(
    warehouse: Warehouse, load: Load, tmp_path: Path, query: Query
) -> None:
    (tmp_path / "parts.csv").write_bytes(as_csv([GOOD["parts"], other_row("parts")]))
    load("parts")

    def said() -> str:
        return str(accounts_problem("raw.parts", file_accounts(warehouse, "raw.parts")))

    query(warehouse, "delete from raw.parts where source_row = 2")
    assert "parts.csv: 2 rows read, 1 in the table, 0 repeated, 0 rejected" in said()
    load("parts")
    query(warehouse, "insert into raw.parts select 'X', part_name, null, null, null, 'by hand', 1, "
          "batch_id from raw.parts limit 1")  # fmt: skip
    assert "by hand: 0 rows read, 1 in the table" in said()


# A bucket


def test_a_bucket_is_read_as_a_folder(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    from pyarrow import fs

    with object_store("ops") as url:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", PASSWORD),
            ("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", url),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        bucket = fs.S3FileSystem(endpoint_override=url)
        for name, body in (
            ("parts/a.xlsx", as_excel([GOOD["parts"]])),
            ("parts/b.csv", b"\x1f\x8b"),
            ("columns.toml", b"[parts]\nmissing = 'Brake'"),
        ):
            with bucket.open_output_stream(f"ops/airline/{name}") as stream:
                stream.write(body)
        settings = Settings(operator_data="s3://ops/airline/")
        found = load_kind(warehouse, settings, BY_NAME["parts"], today=TODAY)
        assert counts(found) == [(1, 0, 0, 1)]
        assert found.reasons == {"part_name is missing": 1}
        assert "parts/b.csv is damaged" in problem(warehouse, "parts", 1)
        nothing = Settings(operator_data="s3://ops/other")
        with pytest.raises(SkyOpsError, match="names s3://ops/other, which does not exist"):
            load_kind(warehouse, nothing, BY_NAME["parts"])
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(SkyOpsError, match=r"which cannot be read: .*AWS_"):
            load_kind(warehouse, settings, BY_NAME["parts"])


def airports(warehouse: Warehouse, query: Query) -> None:
    """Where the schedules of the tests go."""
    query(
        warehouse,
        "with batch as (insert into raw.ingest_batches (target, source, started_at, finished_at, "
        "read_rows, loaded_rows, duplicate_rows, rejected_rows) "
        "values ('raw.airports', 'test', now(), now(), 1, 1, 0, 0) returning batch_id) "
        "insert into raw.airports (icao, iata, name, latitude_deg, longitude_deg, elevation_m, "
        "timezone, batch_id) select 'LFPG', 'CDG', 'Paris', 49, 2.5, 119, 'Europe/Paris', batch_id "
        "from batch",
    )
