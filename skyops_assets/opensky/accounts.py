"""What the loads say of themselves: which rows a run touched, and whether any were lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from skyops_assets.opensky.partitions import TARGET
from skyops_assets.opensky.schema import STATE_VECTOR
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.server import Warehouse

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Accounts:
    """Sums over all batches, and what the tables hold: each pair must be equal."""

    read_rows: int
    accounted_rows: int
    loaded_rows: int
    stored_rows: int
    dropped_rows: int
    rejected_rows: int
    stored_rejected_rows: int

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is loaded, a duplicate or rejected, and is there.

        Rows of days that retention has dropped were loaded, and are booked as dropped.
        """
        return (
            self.read_rows == self.accounted_rows
            and self.loaded_rows == self.stored_rows + self.dropped_rows
            and self.rejected_rows == self.stored_rejected_rows
        )


def accounts(warehouse: Warehouse, target: str = TARGET) -> Accounts:
    """Add up a table's batches and count what is stored.

    Args:
        target: ``schema.table``, loaded in batches that only ever add.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(read_rows), 0), "
            "coalesce(sum(loaded_rows + duplicate_rows + rejected_rows), 0), "
            f"coalesce(sum(loaded_rows), 0), (select count(*) from {target}), "
            "(select coalesce(sum(row_count), 0) from raw.dropped_partitions where target = %s), "
            "coalesce(sum(rejected_rows), 0), "
            "(select count(*) from raw.rejected_states where target = %s) "
            "from raw.ingest_batches where target = %s",
            (target, target, target),
        )
        row = cursor.fetchone()
    assert row is not None
    return Accounts(*(int(value) for value in row))


def stored_twice(warehouse: Warehouse, start: datetime, end: datetime) -> int:
    """Rows with ``start <= time_position <= end`` more than there are (icao24, time, source)."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(copies - 1), 0) from (select count(*) as copies "
            f"from {TARGET} where time_position between %s and %s "
            "group by icao24, time_position, source having count(*) > 1) as found",
            (start, end),
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def loaded_window(warehouse: Warehouse, run_id: str | None) -> tuple[datetime, datetime] | None:
    """First and last time of the positions that a run read, else the last run that had any."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select min(window_start_at), max(window_end_at) from raw.ingest_batches "
            "where target = %s and window_start_at is not null group by run_id "
            "order by (run_id = %s) desc nulls last, max(batch_id) desc limit 1",
            (TARGET, run_id),
        )
        row = cursor.fetchone()
    return None if row is None else (row[0], row[1])


def states_between(warehouse: Warehouse, start: datetime, end: datetime) -> pd.DataFrame:
    """The stored state vectors with ``start <= time_position <= end``, as a frame."""
    columns = ", ".join([*STATE_VECTOR.names, "source"])
    return bulk.read_arrow(
        warehouse,
        f"select {columns} from {TARGET} where time_position between "
        f"'{start.isoformat()}' and '{end.isoformat()}'",
    ).to_pandas()
