"""An operator's files in a real warehouse: from a folder and from a bucket."""

from __future__ import annotations

import csv
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

from skyops_assets.settings import Settings
from skyops_assets.sources.operator.kinds import BY_NAME
from skyops_assets.sources.operator.load import Loaded, load_kind
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("operator")

TODAY = date(2026, 1, 1)
FAA = "maintenance/faa-sdr-737/FAA_SDR_Boeing737_ATA32_2024_2025.xlsx"
FD001 = "maintenance/cmapss-fd001"
Load = Callable[..., Loaded]


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Load:
    """Load a kind from the test's folder."""
    settings = Settings(operator_data=str(tmp_path))

    def run(kind: str, **options: Any) -> Loaded:
        return load_kind(warehouse, settings, BY_NAME[kind], **({"today": TODAY} | options))

    return run


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
