"""Computing a range of hours again from the positions that are there, after a rule changed.

Belongs here: which loads the next build takes again, and how many rows its tables have of the
range. Does not: building (`dbt`), loading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.transform.dbt import prepare_manifest

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

Table = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True)
class Range:
    """From `since` (included) until `until` (UTC)."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, since: str, until: str) -> Range:
        """From ISO 8601; without an offset it is UTC.

        Raises:
            SkyOpsError: one is no time, or the range is empty.
        """
        start, end = _time(since), _time(until)
        if start >= end:
            raise SkyOpsError(f"There is nothing from {since} to {until}: the end is not later.")
        return cls(start, end)

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SkyOpsError(f"{text!r} is not a time: write it as 2021-10-07T12:00 (UTC).") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def take_again(warehouse: Warehouse, chosen: Range) -> int:
    """Let the next build take the loads that brought the positions of a range, as if they were new.

    It rebuilds the flights of these positions whole, so also what of them lies outside.

    Returns:
        How many loads.

    Raises:
        SkyOpsError: no position is of the range; or retention has dropped some, or those of the day
            before, so that flights would be computed from what is left of them.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select max(day) from raw.dropped_partitions where target = 'raw.opensky_states' "
            "and day between %s and %s "
            "and to_regclass(target || to_char(day, '_YYYYMMDD')) is null",
            ((chosen.since - timedelta(days=1)).date(), chosen.until.date()),
        )
        row = cursor.fetchone()
        if row and row[0]:
            raise SkyOpsError(
                f"SKYOPS_RAW_RETENTION_DAYS has dropped the positions of {row[0]}: what was "
                "computed from them would be lost. Begin with "
                f"{row[0] + timedelta(days=2)}T00:00 or later."
            )
        cursor.execute(
            "update raw.ingest_batches set transformed_at = null where batch_id in ("
            "select batch_id from raw.opensky_states "
            "where time_position >= %s and time_position < %s)",
            (chosen.since, chosen.until),
        )
        if not cursor.rowcount:
            raise SkyOpsError(
                f"No positions are loaded from {chosen}: there is nothing to compute."
            )
        return int(cursor.rowcount)


def timed_tables() -> dict[Table, str]:
    """The tables that follow positions, and the column that says of when a row is."""
    nodes: Iterable[Mapping[str, Any]]
    nodes = json.loads(prepare_manifest().read_text())["nodes"].values()
    return {
        (str(node["schema"]), str(node["name"])): time
        for node in nodes
        if node["config"].get("materialized") == "rebuilt"
        and (time := node["config"].get("meta", {}).get("time"))
    }


def rows_of(warehouse: Warehouse, table: Table, time: str, chosen: Range) -> int:
    """How many rows of a table are of a range; none where there is no such table."""
    from psycopg2 import sql

    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", (".".join(table),))
        row = cursor.fetchone()
        if row is None or row[0] is None:
            return 0
        cursor.execute(
            sql.SQL("select count(*) from {0} where {1} >= %s and {1} < %s").format(
                sql.Identifier(*table), sql.Identifier(time)
            ),
            (chosen.since, chosen.until),
        )
        row = cursor.fetchone()
        return int(row[0]) if row else 0
