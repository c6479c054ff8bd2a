"""The audit log: one row of ``audit.monitoring_log`` per verdict or failure."""

from __future__ import annotations

from skyops_assets.warehouse.server import Warehouse


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
            (error, run_id, Json({"job": job})),
        )
        return cursor.rowcount == 1
