"""Rows into a raw table, each once: one transaction, with accounts and what was rejected.

Belongs here: the order of a load that may be repeated. Does not: what a row means, and which of
them are new (the loaders of the history and of the weather reports).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.rejects import keep_rejected

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Cursor


class Classified(NamedTuple):
    """What a load found in its rows; what is neither new nor rejected is a duplicate.

    Attributes:
        new: values by the table's columns.
        rejected: rows as they were read, with the reason.
        window: first and last time of what the load tells of, or None twice.
    """

    new: list[dict[str, Any]]
    rejected: Sequence[tuple[Mapping[str, Any], str]]
    window: tuple[datetime | None, datetime | None]


def load_idempotently(
    warehouse: Warehouse,
    schema: pa.Schema,
    sort: Callable[[Cursor], Classified],
    *,
    target: str,
    source: str,
    read_rows: int,
    started_at: datetime,
    run_id: str | None,
) -> bulk.Batch:
    """Load what `sort` finds new; two loads into one table come one after the other.

    Args:
        schema: the table's columns but for source and batch.
        sort: given the transaction's cursor, so that it sees what is stored.
        target: ``schema.table``.

    Returns:
        The accounts. A rejected row that was kept before counts as a duplicate.
    """
    import pyarrow as pa

    with bulk.transaction(warehouse) as cursor:
        # The second of two loads of the same rows waits here, then finds all of them there.
        bulk.lock(cursor, target)
        batch_id = bulk.next_batch(cursor)
        new, rejected, window = sort(cursor)
        kept = keep_rejected(cursor, target, source, rejected, batch_id)
        batch = bulk.Batch(
            batch_id=batch_id,
            target=target,
            source=source,
            window_start_at=window[0],
            window_end_at=window[1],
            read_rows=read_rows,
            loaded_rows=len(new),
            duplicate_rows=read_rows - len(new) - kept,
            rejected_rows=kept,
        )
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
        bulk.append(cursor, batch, pa.Table.from_pylist(new, schema=schema))
    return batch
