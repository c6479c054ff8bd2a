"""What `skyops status` tells: the warehouse, its rows, the champion, the last runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, server_version

SCHEMAS = ("raw", "staging", "intermediate", "metrics", "features", "ml", "live", "audit")
TABLES = (
    "from pg_class as c join pg_namespace as n on n.oid = c.relnamespace "
    "where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v') and not c.relispartition "
    "and not (n.nspname = 'audit' and c.relname ~ '^(transform|live)_') "
    "order by array_position(%s, n.nspname::text), c.relname"
)
"""Every table and view, `c` in `n`, in the order of the graph; its values are `SCHEMAS`, twice."""


def gather(
    settings: Settings,
    warehouse: Warehouse,
    last_runs: Callable[[], Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Everything as plain values, by the names that `skyops status --json` prints.

    Args:
        last_runs: gives Dagster's newest runs; called last, as Dagster takes seconds to import.
    """
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.arrivals.store.versions import champion_summary

    return {
        "env": settings.env,
        "warehouse": {
            "url": warehouse.safe_url,
            "server_version": server_version(warehouse),
            "embedded": warehouse.is_embedded,
        },
        "opensky": opensky(settings, warehouse),
        "counts": row_counts(warehouse),
        "champions": {ring_nm: champion_summary(warehouse, ring_nm) for ring_nm in RINGS_NM},
        "last_runs": last_runs(),
    }


def opensky(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    """The account's credits, what a round of the watch list costs, and the last live response."""
    from skyops_assets.sources.opensky.live import collect, poll
    from skyops_assets.sources.opensky.live.boxes import cost_of
    from skyops_assets.sources.opensky.live.credits import CreditBudget
    from skyops_assets.sources.opensky.reading.rest import SIMULATED_SOURCES, SOURCE

    state = CreditBudget.from_settings(settings, warehouse).read()
    found: dict[str, Any] = collect.credit_figures(state)
    try:
        boxes = poll.watched_boxes(settings)
    except SkyOpsError as error:
        found["problem"] = str(error)
    else:
        cost = sum(cost_of(box) for box in boxes)
        found["credits_a_round"] = cost
        found["interval_s"] = state.interval_s(cost, poll.shortest_interval_s(settings))
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select max(finished_at) from raw.ingest_batches "
            "where source = %s or starts_with(source, %s)",
            (SOURCE, SIMULATED_SOURCES),
        )
        row = cursor.fetchone()
    found["last_answer_at"] = row[0] if row else None
    return found


def row_counts(warehouse: Warehouse) -> dict[str, int]:
    """Exact rows of every table and view, as ``schema.table``; partitions count in their table.

    The transform's own notes (``audit.transform_*``, ``audit.live_*``) are left out.
    """
    from psycopg2 import sql

    counts = {}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select n.nspname, c.relname {TABLES}",
            (list(SCHEMAS), list(SCHEMAS)),
        )
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table)))
            row = cursor.fetchone()
            counts[f"{schema}.{table}"] = int(row[0]) if row else 0
    return counts
