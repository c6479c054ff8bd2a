"""What the tables of a warehouse hold, to compare two of them."""

from __future__ import annotations

from skyops_assets.warehouse.connection import Warehouse

# What differs between two runs by its nature: numbers of batches and runs, times of writing, and
# how fast and heavy the model was, which the gatekeeper's reasons say.
PASSING = {
    "batch_id", "dagster_run_id", "run_id", "mlflow_run_id", "decision_id",
    "started_at", "finished_at", "rejected_at", "predicted_at", "resolved_at", "created_at",
    "last_built_at", "last_trained_at", "registered_at", "promoted_at", "evaluated_at",
    "decided_at", "measured_at", "start_s", "peak_memory_mb", "p50_ms", "p95_ms", "p99_ms",
    "reasons",
}  # fmt: skip
BOOKS = {"raw.ingest_batches", "audit.monitoring_log"}
"""Books of what happened, which a killed run adds to."""


def tables(warehouse: Warehouse) -> dict[str, tuple[int, str]]:
    """Rows and content hash of every table, whatever the order of rows, without `PASSING`."""
    found = {}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select n.nspname || '.' || c.relname, array_agg(quote_ident(a.attname) "
            "order by a.attnum) from pg_class as c "
            "join pg_namespace as n on n.oid = c.relnamespace "
            "join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
            "where n.nspname = any(%s) and c.relkind in ('r', 'p') and not c.relispartition "
            "and a.attname <> all(%s) group by 1",
            (["raw", "staging", "intermediate", "metrics", "features", "ml"], list(PASSING)),
        )
        for name, columns in cursor.fetchall():
            if name in BOOKS:
                continue
            cursor.execute(
                "select count(*), coalesce(sum(('x' || left(md5(row_text), 15))::bit(60)::bigint"
                "::numeric), 0)::text from (select row("
                + ", ".join(columns)
                + f")::text as row_text from {name}) as rows"
            )
            row = cursor.fetchone()
            assert row is not None
            found[name] = (row[0], row[1])
    return found
