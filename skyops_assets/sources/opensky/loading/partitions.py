"""The day partitions of ``raw.opensky_states``: made, locked, indexed, dropped.

Belongs here: a partition's life. Does not: rows (`load`). Every change to a day happens under
the day's lock, which is held until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from skyops_assets.warehouse import bulk, citus
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

TARGET = "raw.opensky_states"
KEY = "icao24, time_position, source"
QUIET_FOR = timedelta(hours=1)
"""A finished day is indexed when no load has touched it for so long: a backfill that still runs
would pay for the index with every row."""
DROP_WAITS_MS = 5_000


def partition(day: date) -> str:
    """The table of a UTC day, without its schema."""
    return f"opensky_states_{day:%Y%m%d}"


def lock_days(cursor: Cursor, days: Iterable[date]) -> None:
    """Let nobody else change these days until the transaction ends.

    All of a transaction's days at once, in order: so two of them never wait for each other.
    """
    for day in sorted(days):
        cursor.execute(
            f"select pg_advisory_xact_lock(hashtext('skyops.states'), {day.toordinal()})"
        )


def make_partition(cursor: Cursor, day: date) -> bool:
    """Make the day's table unless there is one; the day is locked.

    Returns:
        Whether it was made; then it is not a partition, and has no index, until
        `attach_partition`: one index built at the end costs a quarter of what it costs in steps.
    """
    name = partition(day)
    if bulk.scalar(cursor, f"select to_regclass('raw.{name}')::text") is not None:
        return False
    cursor.execute(
        f"create table raw.{name} (like {TARGET} including defaults, constraint of_day check "
        f"(time_position >= '{day}+00' and time_position < '{day + timedelta(days=1)}+00'))"
    )
    return True


def attach_partition(cursor: Cursor, day: date) -> None:
    """Make a day's new table a partition, with its indexes.

    A partition made by ``create table ... partition of`` would keep readers out of the whole
    table until the commit; this does not, and the constraint spares a scan.
    """
    name = partition(day)
    cursor.execute(
        f"alter table {TARGET} attach partition raw.{name} "
        f"for values from ('{day}+00') to ('{day + timedelta(days=1)}+00')"
    )
    cursor.execute(f"alter table raw.{name} drop constraint of_day")


def ensure_unique_index(cursor: Cursor, day: date) -> bool:
    """Give the day's partition its unique index unless it has it; the day is locked.

    Returns:
        Whether it was made now.

    Raises:
        adbc_driver_manager.Error: a state vector is stored twice.
    """
    name = partition(day)
    if bulk.scalar(cursor, f"select to_regclass('raw.{name}_once')::text") is not None:
        return False
    cursor.execute(f"create unique index {name}_once on raw.{name} ({KEY})")
    return True


def summarize(cursor: Cursor, day: date, *, is_citus: bool, is_index_new: bool) -> None:
    """Let the BRIN index know of new pages; else every query reads them until a vacuum.

    Args:
        is_index_new: whether this transaction has made the day's unique index. On Citus the shards
            are then locked for it against the sessions that would summarize.
    """
    if is_citus:
        if not is_index_new:
            citus.summarize(cursor, f"raw.{partition(day)}")
        return
    index = bulk.scalar(
        cursor,
        "select i.inhrelid::regclass::text from pg_inherits as i "  # noqa: S608
        "join pg_index as x on x.indexrelid = i.inhrelid "
        f"where i.inhparent = 'raw.opensky_states_brin'::regclass "
        f"and x.indrelid = 'raw.{partition(day)}'::regclass",
    )
    cursor.execute(f"select brin_summarize_new_values('{index}')")
    cursor.fetchall()


def days_to_drop(stored: Collection[date], days: int | None, now: datetime) -> list[date]:
    """The days that ended at least ``days`` days before ``now``; none without a number.

    Args:
        stored: the UTC days that there are.
        days: how many whole days before today are kept, at least 1.
        now: with a time zone.
    """
    from datetime import UTC

    if days is None:
        return []
    if days < 1:
        raise ValueError(f"retention of {days} days would drop today's positions")
    oldest_kept = now.astimezone(UTC).date() - timedelta(days=days)
    return sorted(day for day in stored if day < oldest_kept)


def days_to_index(stored: Collection[date], touched: Collection[date], now: datetime) -> list[date]:
    """The finished days that lately no load has touched: they can have an index per row."""
    from datetime import UTC

    today = now.astimezone(UTC).date()
    return sorted(day for day in stored if day < today and day not in touched)


def stored_days(cursor: Cursor) -> list[date]:
    """The days that have a partition, in order."""
    cursor.execute(
        f"select inhrelid::regclass::text from pg_inherits where inhparent = '{TARGET}'::regclass"  # noqa: S608
    )
    names = [str(row[0]).rpartition("_")[2] for row in cursor.fetchall()]
    return sorted(datetime.strptime(name, "%Y%m%d").date() for name in names)


def drop_old_partitions(warehouse: Warehouse, days: int | None, now: datetime) -> dict[date, int]:
    """Drop the days that retention does not keep, and book their rows.

    One transaction a day. A day that a query is reading is left for the next time: waiting
    for it would keep all other queries waiting too.

    Args:
        days: SKYOPS_RAW_RETENTION_DAYS; None keeps everything.
        now: with a time zone.

    Returns:
        The rows that each dropped day had.
    """
    import adbc_driver_postgresql.dbapi as adbc

    if days is None:
        return {}
    with bulk.transaction(warehouse) as cursor:
        old = days_to_drop(stored_days(cursor), days, now)
    dropped = {}
    for day in old:
        name = partition(day)
        try:
            with bulk.transaction(warehouse) as cursor:
                citus.begin_load(cursor)
                lock_days(cursor, [day])
                if bulk.scalar(cursor, f"select to_regclass('raw.{name}')::text") is None:
                    continue
                rows = int(bulk.scalar(cursor, f"select count(*) from raw.{name}"))  # noqa: S608
                cursor.execute(f"set local lock_timeout = {DROP_WAITS_MS}")
                cursor.execute(f"drop table raw.{name}")
                cursor.execute(
                    "insert into raw.dropped_partitions (target, day, row_count) "  # noqa: S608
                    f"values ('{TARGET}', '{day}', {rows})"
                )
        except adbc.Error as error:
            if error.sqlstate != "55P03":
                raise
            continue
        dropped[day] = rows
    return dropped


def index_finished_days(warehouse: Warehouse, now: datetime) -> list[date]:
    """Give finished days their unique index, for queries by aircraft.

    Returns:
        The days that got one now.
    """
    with bulk.transaction(warehouse) as cursor:
        cursor.execute(
            "select distinct day::date from raw.ingest_batches, generate_series("  # noqa: S608
            "date_trunc('day', window_start_at), window_end_at, interval '1 day') as day "
            f"where target = '{TARGET}' "
            f"and finished_at > '{(now - QUIET_FOR).isoformat()}'::timestamptz"
        )
        touched = {row[0] for row in cursor.fetchall()}
        days = [
            day
            for day in days_to_index(stored_days(cursor), touched, now)
            if bulk.scalar(cursor, f"select to_regclass('raw.{partition(day)}_once')::text") is None
        ]
    for day in days:
        with bulk.transaction(warehouse) as cursor:
            lock_days(cursor, [day])
            if bulk.scalar(cursor, f"select to_regclass('raw.{partition(day)}')::text"):
                ensure_unique_index(cursor, day)
    return days
