"""Arrivals of the history into ``raw.arrivals_history``: deduplicated and accounted for.

One transaction a file (airport and day), so that a killed process leaves all of it or nothing;
loading a file again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.settings import Settings
from skyops_assets.sources.history.schema import ARRIVAL, RINGS_NM, Judged, judge
from skyops_assets.sources.history.source import HistoryFile, read_history
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.idempotent import Classified, load_idempotently

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

TARGET = "raw.arrivals_history"
UID_TAKEN = "UID is there already with other values"
_COLUMNS = ", ".join(ARRIVAL.names)


def load_file(
    warehouse: Warehouse, file: HistoryFile, settings: Settings, *, run_id: str | None = None
) -> bulk.Batch:
    """Load one airport's day; a day that there is no file of is a batch of no rows.

    Raises:
        SkyOpsError: the history has the file, but it cannot be had or is not the pinned one.
    """
    rows = read_history(file, settings) if file.exists else []
    return load_rows(warehouse, rows, file.airport, file.day, source=file.name, run_id=run_id)


def load_rows(
    warehouse: Warehouse,
    rows: list[dict[str, Any]],
    airport: str,
    day: date,
    *,
    source: str,
    run_id: str | None = None,
) -> bulk.Batch:
    """Load the rows of one airport and day; bad ones go to ``raw.rejected_states``.

    Args:
        rows: as `source.read_history` gives them.
        source: where they come from, kept with each row.

    Returns:
        The accounts. A row that equals a stored one, or a rejected row that was kept before,
        counts as a duplicate. Of rows with one UID and different values the first is loaded.
    """
    started_at = datetime.now(UTC)
    judged = judge(rows, airport, day)
    window = _window(item.arrival for item in judged if item.arrival)
    return load_idempotently(
        warehouse,
        ARRIVAL,
        lambda cursor: Classified(*_sort(judged, _stored(cursor, airport, day)), window),
        target=TARGET,
        source=source,
        read_rows=len(rows),
        started_at=started_at,
        run_id=run_id,
    )


def _stored(cursor: Cursor, airport: str, day: date) -> dict[str, dict[str, Any]]:
    cursor.execute(
        f"select {_COLUMNS} from {TARGET} where airport = $1 and day = $2",  # noqa: S608
        (airport, day),
    )
    found = cursor.fetch_arrow_table().cast(ARRIVAL).to_pylist()
    return {row["uid"]: row for row in found}


def _sort(
    judged: Iterable[Judged], stored: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[tuple[Mapping[str, Any], str]]]:
    """What is new, and what is rejected with its reason; the rest are duplicates."""
    first: dict[str, Mapping[str, Any]] = dict(stored)
    new: list[dict[str, Any]] = []
    rejected: list[tuple[Mapping[str, Any], str]] = []
    for item in judged:
        if item.arrival is None:
            rejected.append((item.row, str(item.reason)))
            continue
        uid = item.arrival["uid"]
        if uid not in first:
            first[uid] = item.arrival
            new.append(item.arrival)
        elif first[uid] != item.arrival:
            rejected.append((item.row, UID_TAKEN))
    return new, rejected


def _window(arrivals: Iterable[Mapping[str, Any]]) -> tuple[datetime | None, datetime | None]:
    """First crossing and last landing of the good rows."""
    names = [f"ring_{ring}nm_crossed_at" for ring in RINGS_NM]
    pairs = [
        (min(row[name] for name in names if row[name] is not None), row["landed_at"])
        for row in arrivals
    ]
    if not pairs:
        return None, None
    return min(start for start, _ in pairs), max(end for _, end in pairs)
