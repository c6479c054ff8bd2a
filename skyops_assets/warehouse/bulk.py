"""Arrow in and out of the warehouse, through ADBC.

Belongs here: one transaction over Arrow tables, reading a query as Arrow, and the record
of what a load did. Does not: what a row means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.warehouse.connection import Warehouse, connection_error, connection_lost

if TYPE_CHECKING:
    import adbc_driver_manager as adbc
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Cursor


@dataclass(frozen=True)
class Batch:
    """What one load did: ``read_rows = loaded_rows + duplicate_rows + rejected_rows``.

    A duplicate is a row that was there before, in this input or in the warehouse.
    """

    batch_id: int
    target: str
    source: str
    window_start_at: datetime | None
    window_end_at: datetime | None
    read_rows: int
    loaded_rows: int
    duplicate_rows: int
    rejected_rows: int


def together(batches: Sequence[Batch], source: str) -> Batch:
    """The accounts of several loads, at least one, as one under the number of the last."""

    def total(name: str) -> int:
        return sum(getattr(batch, name) for batch in batches)

    starts = [batch.window_start_at for batch in batches if batch.window_start_at]
    ends = [batch.window_end_at for batch in batches if batch.window_end_at]
    return replace(
        batches[-1],
        source=source,
        window_start_at=min(starts, default=None),
        window_end_at=max(ends, default=None),
        read_rows=total("read_rows"),
        loaded_rows=total("loaded_rows"),
        duplicate_rows=total("duplicate_rows"),
        rejected_rows=total("rejected_rows"),
    )


@contextmanager
def transaction(warehouse: Warehouse) -> Iterator[Cursor]:
    """An ADBC cursor whose work is committed at the end, or undone on an error.

    Raises:
        SkyOpsError: the server cannot be reached, refuses the login, or goes away.
    """
    import adbc_driver_postgresql.dbapi as adbc

    try:
        opened = adbc.connect(warehouse.libpq())
    except adbc.Error as error:
        raise connection_error(warehouse, str(error)) from error
    try:
        with opened as connection, connection.cursor() as cursor:
            yield cursor
            connection.commit()
    except adbc.OperationalError as error:
        if _is_lost(error):
            raise connection_lost(warehouse, str(error)) from error
        raise


def _is_lost(error: adbc.OperationalError) -> bool:
    """Whether the connection is gone: the server's last words (57P01 to 57P03), or none."""
    from adbc_driver_manager import AdbcStatusCode

    said = error.sqlstate
    return error.status_code == AdbcStatusCode.IO and (not said or said.startswith("57P0"))


def read_arrow(warehouse: Warehouse, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
    """The rows of a query, whose `$1`, `$2`, ... are bound to the parameters, as an Arrow table."""
    with transaction(warehouse) as cursor:
        cursor.execute(query, parameters or None)
        return cursor.fetch_arrow_table()


def scalar(cursor: Cursor, query: str, parameters: Sequence[Any] = ()) -> Any:
    """The first column of the first row of a query, with its parameters bound."""
    cursor.execute(query, parameters or None)
    row = cursor.fetchone()
    return None if row is None else row[0]


def lock(cursor: Cursor, target: str) -> None:
    """Wait for other loads into a table, until the end of this transaction."""
    cursor.execute("select pg_advisory_xact_lock(hashtext($1))", (f"skyops.{target}",))


def append(cursor: Cursor, batch: Batch, rows: pa.Table) -> None:
    """Add rows to a batch's table, with the batch's source and number."""
    import pyarrow as pa

    if not len(rows):
        return
    schema, table = batch.target.split(".")
    for name in ("source", "batch_id"):
        rows = rows.append_column(name, pa.repeat(getattr(batch, name), len(rows)))
    cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)


def next_batch(cursor: Cursor) -> int:
    """Reserve the number of a load; `record_batch` writes its row."""
    return int(
        scalar(cursor, "select nextval(pg_get_serial_sequence('raw.ingest_batches', 'batch_id'))")
    )


def record_batch(
    cursor: Cursor, batch: Batch, *, started_at: datetime, run_id: str | None = None
) -> None:
    """Write a load's row in ``raw.ingest_batches``, in the load's own transaction."""
    import pyarrow as pa

    row = {**vars(batch), "started_at": started_at, "finished_at": datetime.now(UTC)}
    row["run_id"] = run_id
    times = ("window_start_at", "window_end_at", "started_at", "finished_at")
    kinds = dict.fromkeys(times, pa.timestamp("us", tz="UTC")) | {"run_id": pa.string()}
    table = pa.table({k: pa.array([v], kinds.get(k)) for k, v in row.items()})
    cursor.adbc_ingest("ingest_batches", table, mode="append", db_schema_name="raw")
