"""What the loads say of themselves: which rows a run touched, and whether any were lost.

Belongs here: the balance of every source's batches, stored and rejected rows. Does not: whether
there were as many as usual (`volumes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from skyops_assets.errors import first_few
from skyops_assets.quality.volumes import HOUR
from skyops_assets.sources.opensky.loading.partitions import TARGET
from skyops_assets.sources.opensky.schema import STATE_VECTOR
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd


LATELY = timedelta(hours=24)
PART_ROWS = 500_000
"""Rows that a check holds in memory at once."""


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
            "select coalesce(sum(read_rows), 0), "  # noqa: S608
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
            "select coalesce(sum(copies - 1), 0) from (select count(*) as copies "  # noqa: S608
            f"from {TARGET} where time_position between %s and %s "
            "group by icao24, time_position, source having count(*) > 1) as found",
            (start, end),
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


class Load(NamedTuple):
    """What was loaded last.

    Attributes:
        start, end: first and last time of its positions.
        batch_ids: the loads; None where this run read whole hours.
        loaded_rows: positions that the loads brought; the others were there already.
    """

    start: datetime
    end: datetime
    batch_ids: tuple[int, ...] | None
    loaded_rows: int = 0


def last_load(warehouse: Warehouse, run_id: str | None) -> Load | None:
    """What a run read; else what no model holds yet; else the last load that had any positions.

    So what came outside of runs (`skyops load`, `skyops collect`) is looked at until it is
    transformed, however often it is found wanting. Of what is transformed already, loads outside
    of runs are one where they ended within the last hour of them.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "with loads as (select * from raw.ingest_batches "
            "where target = %(target)s and window_start_at is not null), "
            "chosen as (select *, coalesce(run_id = %(run_id)s, false) as is_own from loads "
            "order by (run_id = %(run_id)s) desc nulls last, transformed_at is null desc, "
            "batch_id desc limit 1) "
            "select min(loads.window_start_at), max(loads.window_end_at), "
            "array_agg(loads.batch_id order by loads.batch_id) filter (where not chosen.is_own), "
            "sum(loads.loaded_rows) "
            "from loads, chosen where case "
            "when chosen.is_own then loads.run_id = %(run_id)s "
            "when chosen.transformed_at is null then loads.transformed_at is null "
            "when chosen.run_id is not null then loads.run_id = chosen.run_id "
            "else loads.run_id is null "
            "and loads.finished_at >= chosen.finished_at - %(hour)s end",
            {"target": TARGET, "run_id": run_id, "hour": HOUR},
        )
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    return Load(row[0], row[1], None if row[2] is None else tuple(row[2]), int(row[3]))


def read_rows(warehouse: Warehouse) -> int:
    """Rows that were ever read, whatever became of them."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(read_rows), 0) from raw.ingest_batches where target = %s",
            (TARGET,),
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def dropped_days(warehouse: Warehouse, start: datetime, end: datetime) -> list[date]:
    """The UTC days from ``start`` to ``end`` whose positions retention has dropped, in order.

    A day that was loaded again since, and is there, is not among them.
    """
    days = (start.astimezone(UTC).date(), end.astimezone(UTC).date())
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select distinct day from raw.dropped_partitions "
            "where target = %s and day between %s and %s "
            "and to_regclass(%s || to_char(day, '_YYYYMMDD')) is null order by 1",
            (TARGET, *days, TARGET),
        )
        return [row[0] for row in cursor.fetchall()]


def loaded_states(warehouse: Warehouse, load: Load) -> Iterator[pd.DataFrame]:
    """The state vectors stored in a load's time, in parts of about `PART_ROWS`; at least one.

    A live response reaches days back for one late position: of a load outside of runs only the rows
    that came with it are read.
    """
    import pyarrow as pa

    columns = ", ".join([*STATE_VECTOR.names, "source"])
    start, end = load.start.isoformat(), load.end.isoformat()
    condition = f"time_position between '{start}' and '{end}'"
    if load.batch_ids is not None:
        condition += f" and batch_id in ({', '.join(map(str, load.batch_ids))})"
    with bulk.transaction(warehouse) as cursor:
        cursor.execute(f"select {columns} from {TARGET} where {condition}")  # noqa: S608
        reader = cursor.fetch_record_batch()
        part, size = [], 0
        for batch in reader:
            part.append(batch)
            size += len(batch)
            if size >= PART_ROWS:
                yield pa.Table.from_batches(part).to_pandas()
                part, size = [], 0
        if part or not size:
            yield pa.Table.from_batches(part, schema=reader.schema).to_pandas()


@dataclass(frozen=True)
class Rejections:
    """What lately was rejected and still is.

    Attributes:
        judged_rows: rows that were new, loaded or rejected; duplicates are not, so that loading
            the same rows again does not thin the share out.
        reasons: rows by reason, the most common first.
    """

    judged_rows: int
    reasons: dict[str, int]

    @property
    def rejected_rows(self) -> int:
        """Rows that are still rejected."""
        return sum(self.reasons.values())

    @property
    def share(self) -> float:
        """Of the rows judged; 0 where there were none."""
        return self.rejected_rows / self.judged_rows if self.judged_rows else 0.0

    def problem(self, limit: float) -> str | None:
        """What was rejected and what to do, where the share is over the limit; else None."""
        if self.share <= limit:
            return None
        named = first_few(f"{reason}: {rows:,}" for reason, rows in self.reasons.items())
        return (
            f"{self.rejected_rows:,} of {self.judged_rows:,} new rows ({self.share:.1%}, limit "
            f"{limit:.1%}) are rejected: {named}. Correct the source or the reader, then run "
            "`skyops replay-rejected`."
        )


def rejections(warehouse: Warehouse) -> Rejections:
    """What the loads rejected that ended within `LATELY` before the newest one.

    Replays are no loads: they take rows away that any day may have rejected. So the rejected rows
    are counted where they lie, and not by the batches' sums.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            with loads as (
                select batch_id, loaded_rows, finished_at
                from raw.ingest_batches where target = %s and read_rows > 0
            ),
            lately as (
                select * from loads
                where finished_at >= (select max(finished_at) from loads) - %s
            )
            select (select sum(loaded_rows) from lately), reason, count(reason)
            from lately left join raw.rejected_states using (batch_id)
            group by reason
            order by count(reason) desc, reason
            """,
            (TARGET, LATELY),
        )
        rows = cursor.fetchall()
    reasons = {str(reason): int(count) for _, reason, count in rows if reason is not None}
    loaded = int(rows[0][0]) if rows else 0
    return Rejections(loaded + sum(reasons.values()), reasons)
