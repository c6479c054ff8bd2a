"""Rejected rows into ``raw.rejected_states``: each once, unchanged, with its reason."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyops_assets.warehouse import bulk

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Cursor


def keep_rejected(
    cursor: Cursor,
    target: str,
    source: str,
    rejected: Sequence[tuple[Mapping[str, Any], str]],
    batch_id: int,
) -> int:
    """Keep rows with the reason why they were not loaded, in the load's own transaction.

    Args:
        target: the table that the rows were meant for.
        rejected: the rows as they were read, whose values JSON can hold, and their reasons.

    Returns:
        How many were new; a row that is there already is not kept again.
    """
    payloads = [payload_of(row) for row, _ in rejected]
    reasons = [reason for _, reason in rejected]
    return keep_payloads(cursor, target, source, payloads, reasons, batch_id=batch_id)


def keep_payloads(
    cursor: Cursor,
    target: str,
    source: str,
    payloads: Sequence[str],
    reasons: Sequence[str] | pa.ChunkedArray,
    *,
    batch_id: int,
) -> int:
    """As `keep_rejected`, for rows that are JSON texts already.

    Args:
        payloads: texts that Postgres takes as JSON.
        reasons: one for each payload.
    """
    import pyarrow as pa

    if not payloads:
        return 0
    table = pa.table({"payload": payloads, "reason": reasons})
    cursor.adbc_ingest("incoming_rejected", table, mode="create", temporary=True)
    count = bulk.scalar(
        cursor,
        f"""
        with inserted as (
            insert into raw.rejected_states (target, source, payload, reason, batch_id)
            select $1, $2, payload::jsonb, reason, {batch_id:d}
            from incoming_rejected
            on conflict do nothing
            returning 1
        )
        select count(*) from inserted
        """,  # noqa: S608
        (target, source),
    )
    cursor.execute("drop table incoming_rejected")
    return int(count)


def payload_of(row: Mapping[str, Any]) -> str:
    """A row as the JSON text that is kept of it; dates and times, as Excel has them, are text."""
    return json.dumps(_named(row), sort_keys=True, default=str)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as Postgres' JSON takes it: names only, and whole characters other than NUL."""
    return {
        # The values beyond a CSV's last column have no name.
        "(more)" if name is None else _storable(name): _storable(value)
        for name, value in row.items()
    }


def _storable(value: Any) -> Any:
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return _named(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "backslashreplace").decode()
