"""Rejected rows once more: what the reader takes by now is loaded, the rest stays.

Belongs here: telling from a kept payload which format it came from and whether it still says what
was wrong, and moving rows out of ``raw.rejected_states``. Does not: the formats themselves
(`formats`, `rest`), what is true (`schema`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.loading import states as load
from skyops_assets.sources.opensky.loading.malformed_responses import kept_body
from skyops_assets.sources.opensky.loading.partitions import TARGET
from skyops_assets.sources.opensky.reading import rest
from skyops_assets.sources.opensky.reading.columns import NULLABLE
from skyops_assets.sources.opensky.reading.formats import PRESENT, recognise
from skyops_assets.sources.opensky.schema import UTC_TIME, rejection_reasons
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

PAGE_ROWS = 50_000
"""Rejected rows that are read again in one transaction."""

_ANSWER = "(jsonb_typeof(payload) = 'object' and payload ?| array['body', 'body_base64'])"
_ESCAPES = re.compile(r"\\\\u(0000|d[89a-f])")
"""What stands in a payload for what Postgres does not hold (`recordings.storable`)."""


@dataclass(frozen=True)
class Replayed:
    """What a replay did; rows that did not move stay as they are.

    Attributes:
        looked_at_rows: rejected rows, a whole response being one.
        loaded_rows, duplicate_rows: rows that are loaded now or were there already, those of
            responses among them.
        responses: whole responses that can be read by now.
        response_rows: the rows in them.
        rejected_rows: those of them that are rejected by themselves now.
    """

    looked_at_rows: int
    loaded_rows: int
    duplicate_rows: int
    responses: int = 0
    response_rows: int = 0
    rejected_rows: int = 0

    @property
    def left_rows(self) -> int:
        """Rows of those looked at that still are rejected."""
        found = self.loaded_rows + self.duplicate_rows + self.rejected_rows
        return self.looked_at_rows - self.responses - (found - self.response_rows)


@dataclass(frozen=True)
class _Kept:
    """A rejected row; the digest is its name within a source."""

    digest: str
    source: str
    text: str
    reason: str
    rejected_at: datetime

    @property
    def payload(self) -> Any:
        return json.loads(self.text)


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

    A whole response that can be read by now is loaded as any other, and its bad rows become
    rejected rows of their own. It was one rejected row: of n rows its batch has read n - 1 more,
    and rejected one less than it kept. So the sums over all batches are what they would be had
    the response been readable when it came; of a response without rows the batch has read -1.

    A row stays whose payload does not say any more what was wrong with it: its time was later
    than one that is not kept, or a text stands for something that is none.

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
    pattern = "%" if reason is None else reason
    looked_at: list[int] = []
    rows: list[bulk.Batch] = []
    responses: list[bulk.Batch] = []
    for source, last_batch in _sources(warehouse, pattern):
        # What a response adds to the rejected rows now is not looked at again.
        chosen = (source, pattern, last_batch)
        if rest.is_of_answers(source):
            # One may hold as many rows as a page.
            pages = _replay(warehouse, chosen, _ANSWER, 1, _load_answer, run_id=run_id)
            for length, batch in pages:
                looked_at.append(length)
                responses += [batch] if batch else []
        rows_only = f"not {_ANSWER}" if rest.is_of_answers(source) else "true"
        pages = _replay(warehouse, chosen, rows_only, PAGE_ROWS, _load_rows, run_id=run_id)
        for length, batch in pages:
            looked_at.append(length)
            rows += [batch] if batch else []
    batches = rows + responses
    return Replayed(
        sum(looked_at),
        sum(batch.loaded_rows for batch in batches),
        sum(batch.duplicate_rows for batch in batches),
        len(responses),
        sum(batch.read_rows + 1 for batch in responses),
        sum(batch.rejected_rows + 1 for batch in responses),
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


def _sources(warehouse: Warehouse, pattern: str) -> list[tuple[str, int]]:
    """The sources that have rows rejected for such a reason, and the last batch that has one."""
    query = (
        "select source, max(batch_id) as batch_id from raw.rejected_states "
        "where target = $1 and reason like $2 group by 1 order by 1"
    )
    found = bulk.read_arrow(warehouse, query, (TARGET, pattern))
    return list(zip(found["source"].to_pylist(), found["batch_id"].to_pylist(), strict=True))


def _replay(
    warehouse: Warehouse,
    chosen: tuple[str, str, int],
    kind: str,
    page_rows: int,
    load_page: Callable[[Cursor, list[_Kept]], bulk.Batch | None],
    *,
    run_id: str | None,
) -> Iterator[tuple[int, bulk.Batch | None]]:
    """Load page by page; the length of each page and its batch, if any of it was good.

    Args:
        chosen: source, pattern of the reasons, and the last batch whose rows count.
        kind: the condition that tells whole responses from rows.
    """
    after, length = "", page_rows
    while length == page_rows:
        started_at, batch = datetime.now(UTC), None
        with bulk.transaction(warehouse) as cursor:
            # A second replay finds what the first has left.
            cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.replay'))")
            if page := _page(cursor, chosen, kind, after, page_rows):
                after = page[-1].digest
                batch = load_page(cursor, page)
            if batch:
                bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
        length = len(page)
        yield length, batch


def _page(
    cursor: Cursor, chosen: tuple[str, str, int], kind: str, after: str, rows: int
) -> list[_Kept]:
    """The next rejected rows, in the order of their digests."""
    cursor.execute(
        "select md5(payload::text), source, payload::text, reason, rejected_at "  # noqa: S608
        "from raw.rejected_states "
        "where target = $1 and source = $2 and reason like $3 and batch_id <= $4 "
        f"and {kind} and md5(payload::text) > $5 order by 1 limit {rows:d}",
        (TARGET, *chosen, after),
    )
    return [_Kept(*row) for row in cursor.fetchall()]


def _load_rows(cursor: Cursor, page: list[_Kept]) -> bulk.Batch | None:
    """Load the good rows of a page of one source."""
    source = page[0].source
    clear = [one for one in page if not _is_unclear(one)]
    found, states = _answer_rows(clear) if rest.is_of_answers(source) else _table_rows(clear)
    is_good = pc.is_null(rejection_reasons(states))
    good = states.filter(is_good)
    if not len(good):
        return None
    batch_id = bulk.next_batch(cursor)
    loaded = load.insert_good(cursor, good, source, batch_id)
    _forget(cursor, source, pa.chunked_array([[one.digest for one in found]]).filter(is_good))
    window = pc.min_max(good["time_position"]).as_py()
    return bulk.Batch(
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


def _load_answer(cursor: Cursor, page: list[_Kept]) -> bulk.Batch | None:
    """Load a whole response, if it can be read."""
    [one] = page
    body = kept_body(one.payload)
    if body is None:
        return None
    try:
        recording = rest.read_response(body, one.source)
    except rest.MalformedResponse:
        return None
    _forget(cursor, one.source, pa.chunked_array([[one.digest]]))
    batch = load.store(cursor, recording)
    return replace(batch, read_rows=batch.read_rows - 1, rejected_rows=batch.rejected_rows - 1)


def _forget(cursor: Cursor, source: str, digests: pa.ChunkedArray) -> None:
    """Take rows out of the rejected ones."""
    cursor.adbc_ingest("replayed", pa.table({"digest": digests}), mode="create", temporary=True)
    cursor.execute(
        "delete from raw.rejected_states where target = $1 and source = $2 "
        "and md5(payload::text) in (select digest from replayed)",
        (TARGET, source),
    )
    cursor.execute("drop table replayed")


def _table_rows(kept: list[_Kept]) -> tuple[list[_Kept], pa.Table]:
    """The rows of tables that can be read, and their state vectors."""
    read = [(one, read_payload(one.payload)) for one in kept]
    known = [(one, states) for one, states in read if states is not None]
    tables = [NULLABLE.empty_table(), *(states for _, states in known)]
    return [one for one, _ in known], pa.concat_tables(tables)


def _answer_rows(kept: list[_Kept]) -> tuple[list[_Kept], pa.Table]:
    """The rows of responses that can be read, and their state vectors.

    The time of a row's response is not kept. The row was there when it was rejected, and so is no
    later than that.
    """
    rejected_at = pa.array([one.rejected_at for one in kept], UTC_TIME)
    latest = pc.add(rejected_at, pa.scalar(rest.CLOCK_TOLERANCE))
    states, problems = rest.read_rows([one.payload for one in kept], latest)
    if problems is None:
        return kept, states
    is_read = pc.is_null(problems)
    found = [one for one, is_one in zip(kept, is_read.to_pylist(), strict=True) if is_one]
    return found, states.filter(is_read)


def _is_unclear(one: _Kept) -> bool:
    """Whether the payload does not say any more what was wrong with the row."""
    if one.reason.endswith((f"is later than {PRESENT}", f"is later than {rest.ANSWER_TIME}")):
        return True
    if _ESCAPES.search(one.text):
        return True
    # An infinity, or what else JSON does not know, was kept as text.
    no_text = re.fullmatch("(.+) is not (text|a squawk)", one.reason)
    if no_text is None:
        return False
    payload = one.payload
    if isinstance(payload, list):
        payload = dict(zip(rest.FIELDS, payload, strict=False))
    return isinstance(payload, dict) and isinstance(payload.get(no_text[1]), str)
