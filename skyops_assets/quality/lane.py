"""Whether the live lane keeps up: a sentence or None, from what `live.feed` shows.

Belongs here: the limits and the words. Does not: who asks, which is in ``defs/live``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skyops_assets.transform.dbt import LOCK
from skyops_assets.warehouse.connection import Warehouse

WAITS_S = 60.0
"""A pass takes seconds: who lets live positions wait for so long has stopped."""
BEHIND_A_BUILD_S = 600.0
"""While another dbt run writes a pass may have to wait for it, but not for ever."""


@dataclass(frozen=True)
class Lane:
    """What waits for the lane.

    Attributes:
        loads: live loads that no model holds yet.
        since: when the oldest of them was stored.
        waits_s: how long ago that was.
        pass_ended_at: when the last pass or build ended.
        is_building: whether another dbt run holds its lock.
        has_run: whether a live pass was ever made here.
    """

    loads: int
    since: datetime | None
    waits_s: float | None
    pass_ended_at: datetime | None
    is_building: bool
    has_run: bool


def feed(warehouse: Warehouse) -> dict[str, Any] | None:
    """The row of `live.feed` by column; None before its first build."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('live.feed') is not null")
        if cursor.fetchone() != (True,):
            return None
        cursor.execute("select * from live.feed")
        names = [column.name for column in cursor.description or ()]
        row: tuple[Any, ...] = cursor.fetchone() or ()
    return dict(zip(names, row, strict=True))


def lane(warehouse: Warehouse) -> Lane | None:
    """What waits for the lane now; None before the first build."""
    shown = feed(warehouse)
    if shown is None:
        return None
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from pg_locks where locktype = 'advisory' and granted "
            "and database = (select oid from pg_database where datname = current_database()) "
            "and objid = (hashtext(%s)::bigint & 4294967295)::oid), "
            "exists (select from audit.live_horizon)",
            (LOCK,),
        )
        is_building, has_run = cursor.fetchone() or (False, False)
    return Lane(
        shown["waiting_load_count"],
        shown["waiting_since_at"],
        shown["waiting_s"],
        shown["pass_ended_at"],
        is_building,
        has_run,
    )


def lane_problem(found: Lane | None, *, was_red: bool = False) -> str | None:
    """What stands still, since when, and what to do; None where nothing does.

    Who has never run the lane has the hourly refresh, and misses nothing.

    Args:
        was_red: it stood still when it was last looked at: a build that has begun is no recovery.
    """
    if found is None or found.since is None or not found.has_run:
        return None
    limit_s = WAITS_S if was_red or not found.is_building else BEHIND_A_BUILD_S
    if (found.waits_s or 0) <= limit_s:
        return None
    loads = "load of live positions waits" if found.loads == 1 else "loads of live positions wait"
    ended = found.pass_ended_at
    return (
        f"The live lane has stopped: {found.loads:,} {loads} to be in the models, the oldest since "
        f"{utc(found.since)} (limit {limit_s:.0f} s), and live answers stand still. "
        f"{f'The last pass or build ended at {utc(ended)}. ' if ended else ''}Start "
        "`skyops follow`, which `skyops up` keeps running; if it is running, its last line says "
        "what it waits for (`skyops logs follow`). Until then the hourly refresh brings them up to "
        "date."
    )


def utc(at: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
