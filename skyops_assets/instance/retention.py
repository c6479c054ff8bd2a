"""What Dagster's storage keeps of runs that are over, so that it stays under a gigabyte.

A run of the hourly job stores 2.3 MB: 20 GB a year. What each run made is in the warehouse, so of
all that only the newest runs are worth their room, and what Dagster must know: which partitions
there are, and the latest of each asset and check.

Belongs here: which runs and events go. Does not: results of checks (`check_results`), when
(`automation`), what dagster.yaml has removed (ticks).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from skyops_assets.instance.check_results import tidy
from skyops_assets.instance.private import FINISHED_STATUSES, index_connection

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST = 168
"""Runs of each job that are kept whole: of one that runs every hour, a week."""
RUNLESS_DAYS = 7
"""For so long, what was told without a run: `skyops collect` tells of the hour every
five minutes."""

OVER = """
select
    ranked.run_id,
    ranked.status,
    ranked.update_timestamp < :before as is_old
from (
    select
        runs.run_id,
        runs.status,
        runs.update_timestamp,
        row_number() over (partition by runs.pipeline_name order by runs.id desc) as place
    from runs
    where runs.status = any(:finished)
) as ranked
where ranked.update_timestamp < :before or ranked.place > :newest
"""
LATEST = """
select
    events.id,
    events.run_id
from event_logs as events
where
    events.id in (
        select max(made.id)
        from event_logs as made
        where
            made.dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
            and made.asset_key is not null
        group by made.asset_key, made.dagster_event_type, made.partition
    )
union all
select
    results.evaluation_event_storage_id as id,
    results.run_id
from asset_check_executions as results
where
    results.id in (
        select max(told.id)
        from asset_check_executions as told
        where told.execution_status in ('SUCCEEDED', 'FAILED')
        group by told.asset_key, told.check_name
    )
"""
THIN = """
delete from event_logs
where
    run_id = any(:runs)
    and id <> all(:latest)
    and not (
        run_id = any(:failed)
        and dagster_event_type is not null
        and (
            dagster_event_type in ('STEP_FAILURE', 'PIPELINE_FAILURE')
            or (dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED' and partition is not null)
        )
    )
returning run_id
"""
FORGET = "delete from runs where run_id = any(:runs)"
UNNEEDED = """
delete from event_logs as events
where
    events.run_id <> ''
    and events.id <> all(:latest)
    and not exists (select from runs where runs.run_id = events.run_id)
"""
RUNLESS = """
delete from event_logs
where run_id = '' and id <> all(:latest) and timestamp < :before
"""
TAGS = """
delete from asset_event_tags as tags
where not exists (select from event_logs as events where events.id = tags.event_id)
"""


@dataclass(frozen=True)
class Removed:
    """What went.

    Attributes:
        removed: runs, with their output and all events but those that Dagster must know.
        thinned: runs of which all went but what Dagster must know, or why they failed.
        check_results: of those runs.
    """

    removed: int = 0
    thinned: int = 0
    check_results: int = 0


def remove_old_runs(instance: dg.DagsterInstance, keep_days: int, newest: int = NEWEST) -> Removed:
    """Remove runs that ended before so many days, or that are not among the newest of their job.

    An event that made what is still the latest of an asset, a partition or a check stays: Dagster
    would forget that it was ever made, and automation would make all of it again. Its run stays,
    with that event alone, until it is old. A failed run stays until it is old, with its errors and
    the partitions that it was to make. On another database than Postgres nothing is done.
    """
    now = datetime.now(UTC)
    removed = 0
    with index_connection(instance) as connection:
        if connection.dialect.name != "postgresql":
            return Removed()
        over = _rows(
            connection, OVER, before=_naive(now - timedelta(days=keep_days)), newest=newest,
            finished=[status.value for status in FINISHED_STATUSES],
        )  # fmt: skip
        latest = _rows(connection, LATEST)
        kept_ids = [number for number, _ in latest if number is not None]
        makers = {run_id for _, run_id in latest}
        failed = {
            run_id
            for run_id, status, is_old in over
            if status == dg.DagsterRunStatus.FAILURE.value and not is_old
        }
        old = [run_id for run_id, _, is_old in over if is_old and run_id in makers]
        kept = list(old)
        for run_id, _, is_old in over:
            if run_id in makers or run_id in failed:
                if not is_old:
                    kept.append(run_id)
                continue
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            instance.delete_run(run_id)
            removed += 1
        rows = _rows(connection, THIN, runs=kept, failed=list(failed), latest=kept_ids)
        thinned = {run_id for (run_id,) in rows}
        for run_id in thinned:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
        _run(connection, FORGET, runs=old)
        _run(connection, UNNEEDED, latest=kept_ids)
        _run(connection, RUNLESS, latest=kept_ids,
             before=_naive(now - timedelta(days=RUNLESS_DAYS)))  # fmt: skip
        _run(connection, TAGS)
        return Removed(removed + len(old), len(thinned.difference(old)), tidy(connection, kept))


def _rows(connection: Connection, statement: str, **values: Any) -> list[Any]:
    return list(_run(connection, statement, **values).all())


def _run(connection: Connection, statement: str, **values: Any) -> Any:
    from sqlalchemy import text

    return connection.execute(text(statement), values)


def _naive(moment: datetime) -> datetime:
    """As Dagster's columns hold times: UTC, and no zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
