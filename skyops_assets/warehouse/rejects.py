"""Rejected rows into ``raw.rejected_states``: each once, unchanged, with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyops_assets.warehouse import bulk

if TYPE_CHECKING:
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
    import pyarrow as pa

    if not rejected:
        return 0
    table = pa.table(
        {
            "payload": [json.dumps(_named(row), sort_keys=True) for row, _ in rejected],
            "reason": [reason for _, reason in rejected],
        }
    )
    cursor.adbc_ingest("incoming_rejected", table, mode="create", temporary=True)
    count = bulk.scalar(
        cursor,
        f"""
        with inserted as (
            insert into raw.rejected_states (target, source, payload, reason, batch_id)
            select {quote(target)}, {quote(source)}, payload::jsonb, reason, {batch_id}
            from incoming_rejected
            on conflict do nothing
            returning 1
        )
        select count(*) from inserted
        """,
    )
    cursor.execute("drop table incoming_rejected")
    return int(count)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as Postgres' JSON takes it: names only, and no NUL in a text."""
    return {
        # The values beyond a CSV's last column have no name.
        "(more)" if name is None else name: value.replace("\x00", "\ufffd")
        if isinstance(value, str)
        else value
        for name, value in row.items()
    }


def quote(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
