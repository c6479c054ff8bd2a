"""Airframes, their types and operators, from a CSV file with the columns of OpenSky's database.

Belongs here: recognising the columns, judging a row, replacing ``raw.aircraft`` whole. The file
is the user's own; without one the type of every aircraft is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.csv_tables import MISSING, NEARLY_ALL, csv_rows
from skyops_assets.sources.text import BROKEN, decompressed, shown
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.rejects import keep_rejected

TARGET = "raw.aircraft"

AIRCRAFT = pa.schema(
    [
        pa.field("icao24", pa.string(), nullable=False),
        pa.field("registration", pa.string()),
        pa.field("typecode", pa.string()),
        pa.field("icao_type_description", pa.string()),
        pa.field("operator", pa.string()),
        pa.field("operator_icao", pa.string()),
    ]
)
"""An airframe. ``typecode`` is ICAO's designator (A320), ``icao_type_description`` its kind,
engines and propulsion (L2J), both of ICAO Doc 8643; ``operator_icao`` has three letters (DLH)."""

COLUMNS = {
    "icao24": ("icao24",),
    "registration": ("registration",),
    "typecode": ("typecode",),
    "icao_type_description": ("icaoaircrafttype", "icaoaircraftclass"),
    "operator": ("operator",),
    "operator_icao": ("operatoricao",),
}
"""Where a value is found, whatever the case: the names of the releases up to and from 2024."""

_FORMS = (
    ("icao24", re.compile(r"[0-9a-f]{6}"), "icao24 is not six hexadecimal digits"),
    ("typecode", re.compile(r"[A-Z][A-Z0-9]{1,3}"), "typecode is not a designator such as A320"),
    ("operator_icao", re.compile(r"[A-Z]{3}"), "operatoricao is not three letters"),
)
TAKEN = "icao24 is there already with other values"
TORN = "the line cannot be taken apart: its quotes do not pair"


def load_aircraft(warehouse: Warehouse, path: Path, *, run_id: str | None = None) -> bulk.Batch:
    """Put the airframes of a file in place of those in ``raw.aircraft``, in one transaction.

    Returns:
        The accounts of this file. Equal rows for one airframe are duplicates; of different
        ones the first is loaded. A rejected row that was kept before counts as a duplicate.

    Raises:
        SkyOpsError: the file is not there or breaks off, has not the columns of an aircraft
            database, or nearly no airframe among its rows; those that are
            there stay.
    """
    started_at = datetime.now(UTC)
    source = shown(Path(path.name))
    airframes: dict[str, dict[str, str | None]] = {}
    rejected: list[tuple[Mapping[str, Any], str]] = []
    read = 0
    for row, airframe in _rows(path):
        read += 1
        reason = TORN if row.keys() == {"line"} else rejection_reason(airframe)
        if reason is None:
            there = airframes.setdefault(str(airframe["icao24"]), airframe)
            reason = TAKEN if there != airframe else None
        if reason is not None:
            rejected.append((row, reason))
    if read and len(rejected) >= NEARLY_ALL * read:
        [(reason, rows)] = Counter(reason for _, reason in rejected).most_common(1)
        is_torn = reason == TORN and rows == read
        raise SkyOpsError(
            f"SKYOPS_AIRCRAFT_CSV names {shown(path)}, "
            + ("which is not a CSV file at line 2: " if is_torn else "")
            + f"{len(rejected):,} of its {read:,} rows are not airframes, {rows:,} of them because "
            f"{reason}. Correct the file; the airframes that are loaded stay until then."
        )
    with bulk.transaction(warehouse) as cursor:
        bulk.lock(cursor, TARGET)
        batch_id = bulk.next_batch(cursor)
        kept = keep_rejected(cursor, TARGET, source, rejected, batch_id)
        loaded = len(airframes)
        batch = bulk.Batch(
            batch_id, TARGET, source, None, None, read, loaded, read - loaded - kept, kept
        )
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
        cursor.execute("delete from raw.aircraft")
        bulk.append(cursor, batch, pa.Table.from_pylist(list(airframes.values()), schema=AIRCRAFT))
    return batch


def rejection_reason(airframe: Mapping[str, str | None]) -> str | None:
    """Why a row is no airframe, or None: a value that is known has to have its form."""
    for name, value in airframe.items():
        # Half a character stands for a byte that is no UTF-8.
        if value and not value.isascii() and value != value.encode("utf-8", "replace").decode():
            return f"{name} is not UTF-8"
    for name, form, reason in _FORMS:
        value = airframe[name]
        if (value is not None or name == "icao24") and not form.fullmatch(value or ""):
            return reason
    return None


def _rows(path: Path) -> Iterator[tuple[Mapping[str, Any], dict[str, str | None]]]:
    """Each row as the file has it, and its values by `AIRCRAFT`'s names; missing is null."""
    try:
        with decompressed(path) as file:
            names, rows = csv_rows(file)
            found = _columns(names, path)
            for row in rows:
                values = {n: _text(row.get(name)) if name else None for n, name in found.items()}
                for upper in ("typecode", "operator_icao"):
                    values[upper] = values[upper] and str(values[upper]).upper()
                values["icao24"] = values["icao24"] and str(values["icao24"]).lower()
                yield row, values
    except BROKEN as error:
        said = (error.strerror if isinstance(error, OSError) else None) or error
        raise SkyOpsError(
            f"SKYOPS_AIRCRAFT_CSV names {shown(path)}, which cannot be read: {said}. Name an "
            "aircraft database in CSV form, or unset the setting."
        ) from None


def _columns(names: list[str], path: Path) -> dict[str, str | None]:
    """The file's columns by `AIRCRAFT`'s names."""
    there = {name.lower(): name for name in names}
    found = {
        name: next((there[one] for one in options if one in there), None)
        for name, options in COLUMNS.items()
    }
    if found["icao24"] is None or not any(
        found[name] for name in ("registration", "typecode", "operator", "operator_icao")
    ):
        raise SkyOpsError(
            f"SKYOPS_AIRCRAFT_CSV names {shown(path)}, whose columns are "
            f"{', '.join(there) or 'missing'}. It needs icao24 and any of registration, "
            "typecode, operator, operatoricao."
        )
    return found


def _text(value: str | None) -> str | None:
    """A value without padding and NULs; nothing where it is missing."""
    text = (value or "").replace("\x00", "").strip()
    return None if text in MISSING else text
