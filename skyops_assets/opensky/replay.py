"""Rejected rows once more: what the reader takes by now is loaded, the rest stays.

Belongs here: telling from a kept payload which format it came from, and moving rows out of
``raw.rejected_states``. Does not: the formats themselves (`formats`), what is true (`schema`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky import load
from skyops_assets.opensky.formats import recognise
from skyops_assets.opensky.partitions import TARGET
from skyops_assets.opensky.schema import rejection_reasons
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.server import Warehouse

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

PAGE_ROWS = 50_000
"""Rejected rows that are read again in one transaction."""


@dataclass(frozen=True)
class Replayed:
    """What a replay did; rows that did not move stay as they are."""

    looked_at_rows: int
    loaded_rows: int
    duplicate_rows: int

    @property
    def left_rows(self) -> int:
        """Rows that still are rejected."""
        return self.looked_at_rows - self.loaded_rows - self.duplicate_rows


def replay_rejected(
    warehouse: Warehouse,
    *,
    target: str = TARGET,
    reason: str | None = None,
    run_id: str | None = None,
) -> Replayed:
    """Read rejected rows again and load those that are good by now.

    Such rows leave ``raw.rejected_states`` in the transaction that loads them. Their batch has
    read nothing: what it loaded, or found there before, it takes off the rejected rows.

    Args:
        target: the table that the rows were meant for.
        reason: SQL LIKE pattern of the reasons to look at; None takes all.

    Raises:
        SkyOpsError: rows of that table cannot be replayed.
    """
    if target != TARGET:
        raise SkyOpsError(
            f"Rejected rows of {target} cannot be replayed, only those of {TARGET}: "
            "materialise the asset again instead."
        )
    condition = f"target = {bulk.quote(target)}"
    if reason is not None:
        condition += f" and reason like {bulk.quote(reason)}"
    looked_at, batches = 0, []
    for source in _sources(warehouse, condition):
        where, after = f"{condition} and source = {bulk.quote(source)}", ""
        while True:
            with bulk.transaction(warehouse) as cursor:
                # A second replay finds what the first has left.
                cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.replay'))")
                page = _page(cursor, where, after)
                if batch := _load_good(cursor, page, source, run_id):
                    batches.append(batch)
            looked_at += len(page)
            if len(page) < PAGE_ROWS:
                break
            after = page[-1][0]
    return Replayed(
        looked_at,
        sum(batch.loaded_rows for batch in batches),
        sum(batch.duplicate_rows for batch in batches),
    )


def read_payload(payload: object) -> pa.Table | None:
    """A kept payload as one state vector, or None where no format of tables takes it."""
    if not isinstance(payload, dict):
        return None
    try:
        kind = recognise(payload, Path("a kept payload"))
    except SkyOpsError:
        return None
    states, problems = kind.read({name: [value] for name, value in payload.items()}, 1)
    return states if problems is None or problems.null_count == len(problems) else None


def _sources(warehouse: Warehouse, condition: str) -> list[str]:
    query = f"select distinct source from raw.rejected_states where {condition} order by 1"
    return [str(name) for name in bulk.read_arrow(warehouse, query)["source"].to_pylist()]


def _page(cursor: Cursor, where: str, after: str) -> list[tuple[str, str]]:
    """Hash and payload of the next rejected rows."""
    cursor.execute(
        "select md5(payload::text), payload::text from raw.rejected_states "
        f"where {where} and md5(payload::text) > '{after}' order by 1 limit {PAGE_ROWS}"
    )
    return [(str(row[0]), str(row[1])) for row in cursor.fetchall()]


def _load_good(
    cursor: Cursor, page: list[tuple[str, str]], source: str, run_id: str | None
) -> bulk.Batch | None:
    started_at = datetime.now(UTC)
    read = [(digest, read_payload(json.loads(payload))) for digest, payload in page]
    known = [(digest, states) for digest, states in read if states is not None]
    if not known:
        return None
    states = pa.concat_tables([one for _, one in known])
    is_good = pc.is_null(rejection_reasons(states))
    good = states.filter(is_good)
    if not len(good):
        return None
    batch_id = bulk.next_batch(cursor)
    loaded = load.insert_good(cursor, good, source, batch_id)
    digests = pa.chunked_array([[digest for digest, _ in known]]).filter(is_good)
    cursor.adbc_ingest("replayed", pa.table({"digest": digests}), mode="create", temporary=True)
    cursor.execute(
        f"delete from raw.rejected_states where target = '{TARGET}' "
        f"and source = {bulk.quote(source)} "
        "and md5(payload::text) in (select digest from replayed)"
    )
    cursor.execute("drop table replayed")
    window = pc.min_max(good["time_position"]).as_py()
    batch = bulk.Batch(
        batch_id=batch_id,
        target=TARGET,
        source=source,
        window_start_at=window["min"],
        window_end_at=window["max"],
        read_rows=0,
        loaded_rows=loaded,
        duplicate_rows=len(good) - loaded,
        rejected_rows=-len(good),
    )
    bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
    return batch
