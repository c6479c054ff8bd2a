"""What can go wrong while nobody runs anything: decisions on facts that others bring.

Belongs here: pure decisions, each a sentence or None, and the SQL that their facts need. Does not:
asking Dagster, which is done where the checks are (``defs/platform/checks.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from skyops_assets.errors import first_few
from skyops_assets.warehouse import citus
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.disk import free_bytes

ORPHAN_GRACE = timedelta(minutes=10)
"""Run monitoring ends an overdue run within a poll and the time that a cancelled one may take."""
GROWTH_DAYS = 28
MIN_GROWTH_DAYS = 3
COVERED_DAYS = 28
"""Days of crossings whose outcomes are counted: over a year of them a lost week is 2 %."""
MAX_GROWTH = 3.0
"""Usual days that a day's partition may take: a second source of the same area makes two."""


def failed_partitions_problem(failed: Mapping[str, Sequence[str]]) -> str | None:
    """Which partitions failed and were not loaded since.

    Args:
        failed: partition keys, in order, by asset.
    """
    said = [
        f"{asset}: {len(keys)} partitions failed and were not loaded since ({first_few(keys)})"
        for asset, keys in failed.items()
        if keys
    ]
    if not said:
        return None
    return (
        f"{'; '.join(said)}. Read the error of the newest run of each, fix its cause, and "
        "materialise these partitions again."
    )


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has started and not ended."""

    run_id: str
    job: str
    started_at: datetime


def orphaned_runs_problem(
    runs: Sequence[UnfinishedRun], now: datetime, max_runtime: timedelta
) -> str | None:
    """Which runs have been unfinished for longer than any may take."""
    overdue = [run for run in runs if now - run.started_at > max_runtime + ORPHAN_GRACE]
    if not overdue:
        return None
    named = first_few(
        f"{run.run_id[:8]} ({run.job}) since {run.started_at:%Y-%m-%d %H:%M} UTC" for run in overdue
    )
    return (
        f"Started and never ended: {named}. A run may take {max_runtime}; its process is gone or "
        "hangs. Is the daemon running, which ends such runs? If it is, terminate them in the UI; "
        "the next run writes what they would have written."
    )


@dataclass(frozen=True)
class ChampionAge:
    """Until when the champion has learned, and what arrivals there are by now."""

    version: str
    trained_through_at: datetime
    newest_arrival_at: datetime

    @property
    def days(self) -> float:
        """Days of arrivals that the champion has not seen."""
        return max(0.0, (self.newest_arrival_at - self.trained_through_at) / timedelta(days=1))


def champion_age(warehouse: Warehouse, model_name: str) -> ChampionAge | None:
    """The champion's age; None without a champion or an arrival that was observed."""
    if not _exists(warehouse, "features.arrival_features"):
        return None
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select version.version, run.trained_through_at, "
            "(select max(landed_at) from features.arrival_features as arrival "
            "where arrival.is_simulated is not true and arrival.ring_nm = run.ring_nm) "
            "from ml.model_versions as version "
            "join ml.training_runs as run using (training_run_id) "
            "where version.is_champion and version.model_name = %s",
            (model_name,),
        )
        row = cursor.fetchone()
    return None if row is None or None in row else ChampionAge(*row)


def champion_age_problem(found: ChampionAge | None, max_days: float) -> str | None:
    """Whether the champion is too old, or None. It ages by the arrivals that come."""
    if found is None or found.days <= max_days:
        return None
    return (
        f"The champion, version {found.version}, has learned from arrivals up to "
        f"{found.trained_through_at:%Y-%m-%d}, {found.days:.0f} days before the newest arrival "
        f"(limit {max_days:g}). Did the weekly training run? If it did, read in "
        "ml.promotion_decisions why no challenger was promoted."
    )


@dataclass(frozen=True)
class LabelCoverage:
    """Predictions whose flight must have landed by now, and those without an outcome."""

    due: int
    pending: int

    @property
    def share(self) -> float | None:
        """Of those due the share with an outcome; None where none is due."""
        return 1 - self.pending / self.due if self.due else None


def label_coverage(warehouse: Warehouse, after: timedelta) -> LabelCoverage:
    """How many predictions of crossings longer ago than ``after`` have an outcome.

    Of the last `COVERED_DAYS`. Ago is before the newest position that the models hold, so that
    nothing is due while none come.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*), count(*) filter (where outcome.resolved_at is null) "
            "from ml.predictions as prediction left join ml.prediction_outcomes as outcome "
            "using (flight_id, airport, ring_nm, model_name, model_version) "
            "where prediction.crossed_at < (select horizon_at from audit.transform_state) - %s "
            "and prediction.crossed_at >= (select horizon_at from audit.transform_state) - %s",
            (after, timedelta(days=COVERED_DAYS)),
        )
        row = cursor.fetchone()
    assert row is not None
    return LabelCoverage(*row)


def label_coverage_problem(found: LabelCoverage, min_share: float) -> str | None:
    """Whether too few predictions have an outcome, or None."""
    if found.share is None or found.share >= min_share:
        return None
    return (
        f"{found.pending:,} of {found.due:,} predictions whose outcome is due have none "
        f"({found.share:.0%} have one, limit {min_share:.0%}). Materialise ml/prediction_outcomes; "
        "if the number stays, the flights' positions end early: is the collector's box too small, "
        "or did it stop?"
    )


@dataclass(frozen=True)
class Storage:
    """What the warehouse holds and how much room there is.

    Attributes:
        day_bytes: sizes of the newest days' partitions of the positions, oldest first, without
            the newest, which still grows.
        free_bytes: of the disk with the server's data, of Citus the fullest worker's; None where
            that cannot be known.
        servers: over how many servers the positions are distributed.
        days_to_come: days of positions until retention drops one for each that comes; None where
            all are kept.
    """

    database_bytes: int
    day_bytes: tuple[int, ...]
    free_bytes: int | None
    days_to_come: int | None = None
    servers: int = 1

    @property
    def usual_day_bytes(self) -> float | None:
        """Median of the days before the last; None where there are too few."""
        before = self.day_bytes[:-1]
        return median(before) if len(before) >= MIN_GROWTH_DAYS else None

    @property
    def days_left(self) -> float | None:
        """Days until the disk is full at the usual growth.

        None where that is not known, and where retention ends the growth before.
        """
        usual = self.usual_day_bytes
        if self.free_bytes is None or not usual:
            return None
        days = self.free_bytes * self.servers / usual
        return None if self.days_to_come is not None and days >= self.days_to_come else days


def storage(warehouse: Warehouse, home: Path, keep_days: int | None) -> Storage:
    """Sizes of the warehouse, and the room on its disk where that is this machine's.

    Args:
        keep_days: SKYOPS_RAW_RETENTION_DAYS: the whole days that are kept beside the present one.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        size = citus.database_bytes(cursor)
        servers = len(citus.free_bytes(cursor)) or 1
        cursor.execute(
            "select array(select audit.total_bytes(inhrelid) from pg_inherits "
            "where inhparent = 'raw.opensky_states'::regclass "
            "order by inhrelid::regclass::text desc offset 1 limit %s), (select count(*)::int "
            "from pg_inherits where inhparent = 'raw.opensky_states'::regclass)",
            (GROWTH_DAYS,),
        )
        row = cursor.fetchone()
    assert row is not None
    days, stored = row
    return Storage(
        size,
        tuple(reversed(days)),
        free_bytes(warehouse, home),
        None if keep_days is None else max(0, keep_days + 1 - stored),
        servers,
    )


def storage_problem(found: Storage, min_days: float, min_free_gb: float) -> str | None:
    """Whether the disk is full soon, or a day was far larger than usual; None if neither."""
    said = []
    if found.free_bytes is not None and found.free_bytes < min_free_gb * 1e9:
        said.append(f"{found.free_bytes / 1e9:.1f} GB are free, limit {min_free_gb:,.0f} GB")
    if found.days_left is not None and found.days_left < min_days:
        said.append(
            f"at {(found.usual_day_bytes or 0) / 1e9:.2f} GB a day the disk is full in "
            f"{found.days_left:.0f} days, limit {min_days:,.0f}"
        )
    usual = found.usual_day_bytes
    if usual and found.day_bytes[-1] > MAX_GROWTH * usual:
        said.append(
            f"the last full day of positions takes {found.day_bytes[-1] / 1e9:.2f} GB, usual "
            f"{usual / 1e9:.2f} GB"
        )
    if not said:
        return None
    return (
        f"{'; '.join(said)}. Set or lower SKYOPS_RAW_RETENTION_DAYS, which drops whole days of "
        "positions, or enlarge the disk; if a day is too large, check whether two sources report "
        "the same positions."
    )


@dataclass(frozen=True)
class PendingLoads:
    """Loads that no model holds yet: how many, and when the oldest ended."""

    loads: int
    since: datetime | None


def pending_loads(warehouse: Warehouse) -> PendingLoads:
    """What was loaded and not transformed."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*), min(finished_at) from raw.ingest_batches "
            "where transformed_at is null and loaded_rows > 0 "
            "and target in ('raw.opensky_states', 'raw.arrivals_history')"
        )
        row = cursor.fetchone()
    assert row is not None
    return PendingLoads(*row)


def pending_loads_problem(found: PendingLoads, now: datetime, deadline: timedelta) -> str | None:
    """Whether a load has waited for the transform for too long, or None."""
    if found.since is None or now - found.since <= deadline:
        return None
    hours = (now - found.since) / timedelta(hours=1)
    return (
        f"{found.loads} loads are in no model, the oldest for {hours:.1f} hours (limit "
        f"{deadline / timedelta(hours=1):g}). Is the schedule hourly_refresh on, is the daemon "
        "running, or did its last run fail at a blocking check?"
    )


def _exists(warehouse: Warehouse, table: str) -> bool:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", (table,))
        row = cursor.fetchone()
    return bool(row and row[0])
