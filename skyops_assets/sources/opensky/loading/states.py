"""State vectors into ``raw.opensky_states``: judged, deduplicated, accounted for.

Belongs here: the one way positions enter the warehouse. One transaction a load, so that a
killed process leaves all of it or nothing; loading the same rows again changes nothing.

No key guards the table while rows stream in, for that halves the speed (docs/storage.md).
Instead a load sorts its rows and keeps one of each, locks the days that they touch, and asks
whether its source has rows in their range of time. Mostly it has none, and the rows are copied
straight into the day's partition; else they are compared with those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.sources.opensky.loading.partitions import (
    KEY,
    TARGET,
    attach_partition,
    ensure_unique_index,
    lock_days,
    make_partition,
    partition,
    summarize,
)
from skyops_assets.sources.opensky.reading.recording import Recording, row_texts
from skyops_assets.sources.opensky.schema import STATE_VECTOR
from skyops_assets.warehouse import bulk, citus
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.rejects import keep_payloads

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

STREAM_ROWS = 65_536
"""Rows that are copied at once into the order of the table: what a load needs beside its input."""

_KEYS = tuple(KEY.split(", "))
_COMPARED = ("icao24", "time_position", "last_contact")
_DAY_US = 86_400_000_000
_EPOCH_AT = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = _EPOCH_AT.date()


def load_states(
    warehouse: Warehouse, recording: Recording, *, run_id: str | None = None
) -> bulk.Batch:
    """Load a recording's rows; bad ones go to ``raw.rejected_states`` with their reason.

    Args:
        recording: rows and their state vectors, of any number, in any order.
        run_id: the Dagster run to note on the batch.

    Returns:
        The accounts. A row whose (icao24, time_position, source) is there already, or a
        rejected row that was kept before, counts as a duplicate.
    """
    started_at = datetime.now(UTC)
    with bulk.transaction(warehouse) as cursor:
        batch = store(cursor, recording)
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
    return batch


def store(cursor: Cursor, recording: Recording) -> bulk.Batch:
    """As `load_states`, in the caller's transaction, which is to record the batch."""
    source = recording.source
    reasons = recording.reasons
    states = recording.states
    good = states if reasons.null_count == len(states) else states.filter(pc.is_null(reasons))
    window = pc.min_max(good["time_position"]).as_py() if len(good) else {}
    batch_id = bulk.next_batch(cursor)
    loaded = insert_good(cursor, good, source, batch_id)
    bad = recording.rows.filter(pc.is_valid(reasons))
    rejected = keep_payloads(
        cursor,
        TARGET,
        source,
        row_texts(bad),
        reasons.drop_null(),
        batch_id=batch_id,
    )
    return bulk.Batch(
        batch_id=batch_id,
        target=TARGET,
        source=source,
        window_start_at=window.get("min"),
        window_end_at=window.get("max"),
        read_rows=len(states),
        loaded_rows=loaded,
        duplicate_rows=len(states) - loaded - rejected,
        rejected_rows=rejected,
    )


def insert_good(cursor: Cursor, good: pa.Table, source: str, batch_id: int) -> int:
    """Store what is not there yet, and what tells more exactly of a position that is there.

    Returns:
        How many rows the table holds more than before.
    """
    if not len(good):
        return 0
    good = good.combine_chunks()
    order = one_of_each(good)
    times = good["time_position"].chunk(0).cast(pa.int64()).to_numpy()[order]
    numbers = times // _DAY_US
    days = {int(number): _EPOCH + timedelta(days=int(number)) for number in np.unique(numbers)}
    is_citus = citus.begin_load(cursor)
    lock_days(cursor, days.values())
    new = {day for day in days.values() if make_partition(cursor, day)}
    if is_citus:
        # Shards are made, attached and indexed before the transaction's first row.
        for day in sorted(new):
            citus.distribute_day(cursor, f"raw.{partition(day)}")
            attach_partition(cursor, day)
    merged = {
        day: ensure_unique_index(cursor, day)
        for number, day in days.items()
        if day not in new and _has_any(cursor, day, source, times[numbers == number])
    }
    loaded = 0
    for number, day in days.items():
        within = numbers == number
        rows = _stream(good, order if within.all() else order[within], source, batch_id)
        if day in merged:
            loaded += _merge(cursor, day, rows)
        else:
            cursor.adbc_ingest(partition(day), rows, mode="append", db_schema_name="raw")
            loaded += int(within.sum())
        if day not in new:
            summarize(cursor, day, is_citus=is_citus, is_index_new=merged.get(day, False))
        elif not is_citus:
            attach_partition(cursor, day)
    return loaded


def one_of_each(states: pa.Table) -> np.ndarray:
    """The positions of rows to keep: one of each (icao24, time_position), sorted by them.

    Of several the one whose ``last_contact`` is nearest to the position is kept, for its altitude
    and speed are those of its contact; of two that are as near the later, then the first in the
    table.
    """
    keys = states.select(["icao24", "time_position", "last_contact"])
    apart = pc.subtract(keys["last_contact"], keys["time_position"]).cast(pa.int64())
    order = pc.sort_indices(
        keys.append_column("apart_us", pc.abs(apart)),
        sort_keys=[("icao24", "ascending"), ("time_position", "ascending"),
                   ("apart_us", "ascending"), ("last_contact", "descending")],
    )  # fmt: skip
    found = keys.select(["icao24", "time_position"]).take(order)
    is_first = np.ones(len(found), dtype=bool)
    if len(found) > 1:
        same = [pc.equal(column.slice(1), column.slice(0, len(found) - 1)) for column in found]
        is_first[1:] = ~pc.and_(*same).to_numpy()
    kept: np.ndarray = order.to_numpy()
    return kept if is_first.all() else kept[is_first]


def _stream(
    states: pa.Table, order: np.ndarray, source: str, batch_id: int
) -> pa.RecordBatchReader:
    """The rows at ``order`` with their source and batch, made as they are sent.

    Columns that are null throughout are left out: COPY pays for each field, null or not.
    """
    names = [
        name for name in states.column_names
        if name in _COMPARED or states[name].null_count < len(states)
    ]  # fmt: skip
    states = states.select(names)
    schema = states.schema.append(pa.field("source", pa.string())).append(
        pa.field("batch_id", pa.int64())
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(order), STREAM_ROWS):
            part = states.take(order[start : start + STREAM_ROWS]).combine_chunks()
            columns = [column.chunk(0) for column in part.columns]
            constants = [pa.repeat(source, len(part)), pa.repeat(batch_id, len(part))]
            yield pa.record_batch([*columns, *constants], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _has_any(cursor: Cursor, day: date, source: str, times_us: np.ndarray) -> bool:
    """Whether the source has rows of the day from the first to the last of these times."""
    first_us, last_us = int(times_us.min()), int(times_us.max())
    # A sequential scan looks cheap for the first match, and reads everything when there is none.
    cursor.execute("set local enable_seqscan = off")
    found = bulk.scalar(
        cursor,
        f"select true from raw.{partition(day)} where source = $1 "  # noqa: S608
        f"and time_position between {_at(first_us)} and {_at(last_us)} limit 1",
        (source,),
    )
    cursor.execute("set local enable_seqscan = on")
    return bool(found)


def _merge(cursor: Cursor, day: date, rows: pa.RecordBatchReader) -> int:
    """Store rows beside those that are there; a nearer ``last_contact`` replaces.

    As `one_of_each` chooses, so that rows make the same table in one load and in several. The day
    has its unique index.

    Returns:
        How many rows the table holds more than before.
    """
    names = rows.schema.names
    columns = ", ".join(names)
    # What the stream leaves out is null in all of its rows.
    others = [name for name in (*STATE_VECTOR.names, "batch_id") if name not in _KEYS]
    replaced = ", ".join(f"{name} = excluded.{name}" for name in others)
    cursor.adbc_ingest("incoming_states", rows, mode="create", temporary=True)
    cursor.execute("analyze incoming_states")
    cursor.execute(
        f"""
        insert into raw.{partition(day)} as stored ({columns})
        select {columns} from incoming_states
        order by icao24, time_position
        on conflict ({KEY}) do update set {replaced}
        where
            (stored.last_contact is null and excluded.last_contact is not null)
            or ({_apart("excluded")}, stored.last_contact)
                < ({_apart("stored")}, excluded.last_contact)
        returning (xmax = 0) as is_new
        """  # noqa: S608
    )
    is_new = cursor.fetch_arrow_table()["is_new"]
    cursor.execute("drop table incoming_states")
    return int(pc.sum(is_new.cast(pa.int64())).as_py() or 0)


def _apart(table: str) -> str:
    """The time between a row's contact and its position, as SQL."""
    contact, position = f"{table}.last_contact", f"{table}.time_position"
    return f"greatest({contact} - {position}, {position} - {contact})"


def _at(microseconds: int) -> str:
    """A time as SQL, exact."""
    return f"'{(_EPOCH_AT + timedelta(microseconds=microseconds)).isoformat()}'::timestamptz"
