"""State vectors into ``raw.opensky_states``: judged, deduplicated, accounted for.

Belongs here: the one way positions enter the warehouse. One transaction a load, so that a
killed process leaves all of it or nothing; loading the same rows again changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.opensky.recordings import Recording, row_json
from skyops_assets.opensky.schema import STATE_VECTOR
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.server import Warehouse

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

TARGET = "raw.opensky_states"
_COLUMNS = ", ".join(STATE_VECTOR.names)


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
    source = recording.source
    reasons = recording.reasons
    good = recording.states.filter(pc.is_null(reasons))
    window = pc.min_max(good["time_position"]).as_py() if len(good) else {}
    with bulk.transaction(warehouse) as cursor:
        batch_id = bulk.next_batch(cursor)
        loaded = _insert_good(cursor, good, source, batch_id)
        rejected = _insert_rejected(cursor, recording, reasons, source, batch_id)
        batch = bulk.Batch(
            batch_id=batch_id,
            target=TARGET,
            source=source,
            window_start_at=window.get("min"),
            window_end_at=window.get("max"),
            read_rows=len(recording.states),
            loaded_rows=loaded,
            duplicate_rows=len(recording.states) - loaded - rejected,
            rejected_rows=rejected,
        )
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
    return batch


def _insert_good(cursor: Cursor, good: pa.Table, source: str, batch_id: int) -> int:
    if not len(good):
        return 0
    days = pc.unique(pc.floor_temporal(good["time_position"], unit="day"))
    for day in days.to_pylist():
        _ensure_partition(cursor, day.astimezone(UTC))
    cursor.adbc_ingest("incoming_states", good, mode="create", temporary=True)
    count = bulk.scalar(
        cursor,
        f"""
        with inserted as (
            insert into {TARGET} ({_COLUMNS}, source, batch_id)
            select distinct on (icao24, time_position)
                {_COLUMNS}, {_quote(source)}, {batch_id}
            from incoming_states
            order by icao24, time_position, last_contact desc nulls last
            on conflict (icao24, time_position, source) do nothing
            returning 1
        )
        select count(*) from inserted
        """,
    )
    cursor.execute("drop table incoming_states")
    return int(count)


def _insert_rejected(
    cursor: Cursor, recording: Recording, reasons: pa.ChunkedArray, source: str, batch_id: int
) -> int:
    bad = pc.is_valid(reasons)
    if not pc.any(bad).as_py():
        return 0
    payloads = [row_json(row) for row in recording.rows.filter(bad).to_pylist()]
    table = pa.table({"payload": payloads, "reason": reasons.filter(bad)})
    cursor.adbc_ingest("incoming_rejected", table, mode="create", temporary=True)
    count = bulk.scalar(
        cursor,
        f"""
        with inserted as (
            insert into raw.rejected_states (target, source, payload, reason, batch_id)
            select {_quote(TARGET)}, {_quote(source)}, payload::jsonb, reason, {batch_id}
            from incoming_rejected
            on conflict do nothing
            returning 1
        )
        select count(*) from inserted
        """,
    )
    cursor.execute("drop table incoming_rejected")
    return int(count)


def _ensure_partition(cursor: Cursor, day: datetime) -> None:
    """Make the day's partition unless it is there; asking first spares readers a lock."""
    name = f"opensky_states_{day:%Y%m%d}"
    if bulk.scalar(cursor, f"select to_regclass('raw.{name}')::text") is None:
        # Two loads of a new day: the second waits here, then finds the first one's table.
        cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.partition'))")
        cursor.execute(
            f"create table if not exists raw.{name} partition of {TARGET} "
            f"for values from ('{day:%Y-%m-%d}+00') "
            f"to ('{day + timedelta(days=1):%Y-%m-%d}+00')"
        )


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
