"""The audit log: one row of ``audit.monitoring_log`` per verdict, failure or summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from skyops_assets.errors import storable
from skyops_assets.warehouse.connection import Warehouse

MONITOR = "monitor"
PROMOTED, NOT_PROMOTED, FAILED = "promoted", "not promoted", "failed"


def record_run_failure(warehouse: Warehouse, *, run_id: str, job: str, error: str) -> bool:
    """Log that a run failed. The same run is logged once, however often this is called.

    Returns:
        Whether a row was written.
    """
    from psycopg2.extras import Json

    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.monitoring_log (kind, verdict, error, run_id, details) "
            "values ('run_failure', 'failed', %s, %s, %s) on conflict do nothing",
            (storable(error), run_id, Json({"job": job})),
        )
        return cursor.rowcount == 1


def record_summary(
    warehouse: Warehouse, kind: str, verdict: str, details: Mapping[str, Any], run_id: str
) -> None:
    """Log what a job of the day, week or month found; a run is written once.

    Args:
        kind: `daily`, `weekly` or `monthly`.
        details: anything that JSON can hold.
    """
    from psycopg2.extras import Json

    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.monitoring_log (kind, verdict, run_id, details) "
            "values (%s, %s, %s, %s) on conflict do nothing",
            (kind, verdict, run_id, Json(dict(details))),
        )


def record_verdict(warehouse: Warehouse, row: Mapping[str, Any]) -> int:
    """Add the verdict on a window and return its log_id.

    A run's second verdict on a model replaces its first.

    Args:
        row: columns of the table; `details` is anything that JSON can hold.
    """
    from psycopg2.extras import Json

    values = {**row, "kind": MONITOR, "details": Json(row["details"])}
    names = ", ".join(values)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"insert into audit.monitoring_log ({names})"  # noqa: S608
            f" values ({', '.join(f'%({name})s' for name in values)})"
            " on conflict (kind, run_id, coalesce(model_name, '')) where run_id is not null"
            " do update set"
            f" {', '.join(f'{name} = excluded.{name}' for name in row)} returning log_id",
            values,
        )
        (log_id,) = cursor.fetchone() or (0,)
        return int(log_id)


def note_report(warehouse: Warehouse, log_id: int, report: str) -> None:
    """Add where the report of a verdict lies."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "update audit.monitoring_log set report = %s where log_id = %s", (report, log_id)
        )


def newest_verdict(warehouse: Warehouse, model_name: str) -> dict[str, Any] | None:
    """The newest verdict on a model, all columns; None where there is none."""
    return _newest(warehouse, model_name, "")


def newest_measured(warehouse: Warehouse, model_name: str, version: str) -> dict[str, Any] | None:
    """The newest verdict with a version's skill, all columns; None where there is none."""
    return _newest(warehouse, model_name, "and skill is not null and model_version = %s", version)


def open_request(warehouse: Warehouse, model_name: str) -> int | None:
    """The log_id of the newest verdict that asked for a retraining which was not decided yet."""
    row = _newest(warehouse, model_name, "and triggered and outcome is null")
    return row["log_id"] if row else None


def last_triggered_at(warehouse: Warehouse, model_name: str) -> datetime | None:
    """The moment of the newest verdict that asked for a retraining: its window's end."""
    row = _newest(warehouse, model_name, "and triggered")
    return row["window_end_at"] if row else None


def record_outcome(
    warehouse: Warehouse,
    model_name: str,
    *,
    training_run_id: str,
    is_promoted: bool,
    improvement: float | None,
) -> int | None:
    """Write the outcome of the newest retraining that the monitor asked for and return its log_id.

    None where none is open. One that was asked for earlier and never decided has failed.

    Args:
        improvement: 1 - MAE / MAE of the champion, or of the best baseline without one.
    """
    log_id = open_request(warehouse, model_name)
    if log_id is None:
        return None
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "update audit.monitoring_log set outcome = %s, improvement = %s, training_run_id = %s"
            " where log_id = %s",
            (
                PROMOTED if is_promoted else NOT_PROMOTED,
                improvement,
                training_run_id,
                log_id,
            ),
        )
        cursor.execute(
            "update audit.monitoring_log set outcome = %s,"
            " error = coalesce(error, 'no decision followed')"
            " where kind = %s and model_name = %s and triggered and outcome is null"
            " and log_id < %s",
            (FAILED, MONITOR, model_name, log_id),
        )
    return log_id


def record_failure(warehouse: Warehouse, log_id: int, error: str) -> None:
    """Write that the retraining which a verdict asked for failed; a decision stays."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "update audit.monitoring_log set outcome = %s, error = %s"
            " where log_id = %s and outcome is null",
            (FAILED, storable(error), log_id),
        )


def _newest(
    warehouse: Warehouse, model_name: str, condition: str, *values: str
) -> dict[str, Any] | None:
    from psycopg2.extras import RealDictCursor

    with (
        warehouse.connect() as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select * from audit.monitoring_log where kind = %s and model_name = %s "  # noqa: S608
            f"{condition} order by log_id desc limit 1",
            (MONITOR, model_name, *values),
        )
        row = cursor.fetchone()
        return None if row is None else dict(row)
