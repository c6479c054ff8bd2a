"""What Prometheus is told of the Postgres server: transactions, sizes, locks, checkpoints.

Belongs here: queries of Postgres' own views, of versions 15 to 18. Does not: when they are asked
(`scrape`).
"""

from __future__ import annotations

from skyops_assets.serving.exported import Exported, Part

SLOW_S = 60.0

DATABASE = Part(
    "databases",
    "warehouse",
    """
    select
        datname as database,
        xact_commit,
        xact_rollback,
        deadlocks,
        temp_bytes,
        blks_hit,
        blks_read
    from pg_stat_database
    where datname = any(%(databases)s)
    """,
    tuple(
        Exported(name, column, f"{meaning} For SkyOps' three databases.", ("database",), "counter")
        for name, column, meaning in (
            ("skyops_postgres_commits_total", "xact_commit", "Transactions committed."),
            ("skyops_postgres_rollbacks_total", "xact_rollback", "Transactions rolled back."),
            ("skyops_postgres_deadlocks_total", "deadlocks", "Deadlocks."),
            ("skyops_postgres_temp_bytes_total", "temp_bytes",
             "Bytes of temporary files, written by sorts and joins that lack memory."),
            ("skyops_postgres_blocks_hit_total", "blks_hit", "Blocks found in shared memory."),
            ("skyops_postgres_blocks_read_total", "blks_read", "Blocks read."),
        )
    ),
)  # fmt: skip
SIZES = Part(
    "sizes",
    "warehouse",
    """
    select
        datname as database,
        pg_database_size(oid) as size_bytes
    from pg_database
    where datname = any(%(databases)s)
    """,
    (
        Exported("skyops_postgres_size_bytes", "size_bytes", "Size on the disk.", ("database",)),
    ),
    SLOW_S,
)  # fmt: skip
SCHEMAS = Part(
    "schemas",
    "warehouse",
    """
    select
        schemas.nspname as schema,
        coalesce(sum(audit.total_bytes(tables.oid)), 0) as size_bytes
    from pg_namespace as schemas
    left join pg_class as tables on schemas.oid = tables.relnamespace and tables.relkind = 'r'
    where
        schemas.nspname in
        ('raw', 'staging', 'intermediate', 'metrics', 'features', 'ml', 'live', 'audit')
    group by schemas.nspname
    """,
    (
        Exported("skyops_warehouse_size_bytes", "size_bytes",
                 "Size of the warehouse's tables with their indexes, by schema.", ("schema",)),
    ),
    SLOW_S,
)  # fmt: skip
LOCKS = Part(
    "locks",
    "warehouse",
    """
    select
        databases.datname as database,
        count(locks.pid) filter (where locks.granted) as held_count,
        count(locks.pid) filter (where not locks.granted) as waiting_count,
        count(locks.pid) filter (where locks.granted and locks.mode = 'AccessExclusiveLock')
            as exclusive_count
    from pg_database as databases
    left join pg_locks as locks on databases.oid = locks.database
    where databases.datname = any(%(databases)s)
    group by databases.datname
    """,
    (
        Exported("skyops_postgres_locks_held", "held_count", "Locks held.", ("database",)),
        Exported("skyops_postgres_locks_exclusive", "exclusive_count",
                 "Locks of these that also block readers of the table.", ("database",)),
        Exported("skyops_postgres_locks_waiting", "waiting_count",
                 "Locks that a session waits for.", ("database",)),
    ),
)  # fmt: skip
SESSIONS = Part(
    "sessions",
    "warehouse",
    """
    select
        databases.datname as database,
        count(sessions.pid) as session_count,
        -- What others do only those may know who are members of it; all else would be a 0.
        case when pg_has_role('pg_read_all_stats', 'usage') then
            count(sessions.pid) filter (where sessions.state = 'active')
        end as active_count,
        case when pg_has_role('pg_read_all_stats', 'usage') then
            coalesce(max(extract(epoch from now() - sessions.xact_start)), 0)
        end as longest_s
    from pg_database as databases
    left join pg_stat_activity as sessions on databases.oid = sessions.datid
    where databases.datname = any(%(databases)s)
    group by databases.datname
    """,
    (
        Exported("skyops_postgres_sessions", "session_count", "Sessions.", ("database",)),
        Exported("skyops_postgres_sessions_active", "active_count",
                 "Sessions of these that run a statement; missing if the service's role lacks "
                 "`pg_read_all_stats`.", ("database",)),
        Exported("skyops_postgres_longest_transaction_seconds", "longest_s",
                 "Age of the oldest open transaction, which keeps old rows from being removed; "
                 "missing without `pg_read_all_stats`.", ("database",)),
    ),
)  # fmt: skip


CHECKPOINTER = (
    "num_timed as timed, num_requested as requested, write_time, sync_time, "
    "buffers_written as written from pg_stat_checkpointer"
)
BEFORE_17 = (
    "checkpoints_timed as timed, checkpoints_req as requested, checkpoint_write_time "
    "as write_time, checkpoint_sync_time as sync_time, buffers_checkpoint as written "
    "from pg_stat_bgwriter"
)
SERVER_SQL = f"""
    select
        checkpoints.timed,
        checkpoints.requested,
        checkpoints.write_time / 1000 as write_s,
        checkpoints.sync_time / 1000 as sync_s,
        checkpoints.written,
        cleaner.buffers_clean,
        cleaner.maxwritten_clean,
        cleaner.buffers_alloc,
        wal.wal_bytes,
        wal.wal_buffers_full
    from (select {CHECKPOINTER}) as checkpoints
    cross join pg_stat_bgwriter as cleaner
    cross join pg_stat_wal as wal
    """  # noqa: S608


def _server_sql(version: int) -> str:
    """Postgres 17 moved the checkpoints to a view of their own; since then exporters miss them."""
    return SERVER_SQL if version >= 170000 else SERVER_SQL.replace(CHECKPOINTER, BEFORE_17)


SERVER = Part(
    "server",
    "warehouse",
    _server_sql,
    tuple(
        Exported(name, column, meaning, (), "counter")
        for name, column, meaning in (
            ("skyops_postgres_checkpoints_timed_total", "timed",
             "Checkpoints triggered by time."),
            ("skyops_postgres_checkpoints_requested_total", "requested",
             "Checkpoints triggered by a full log; if there are many, `max_wal_size` is too "
             "small."),
            ("skyops_postgres_checkpoint_write_seconds_total", "write_s",
             "Time spent writing in checkpoints."),
            ("skyops_postgres_checkpoint_sync_seconds_total", "sync_s",
             "Time spent waiting for the disk in checkpoints."),
            ("skyops_postgres_checkpoint_buffers_total", "written",
             "Blocks written by checkpoints."),
            ("skyops_postgres_bgwriter_buffers_total", "buffers_clean",
             "Blocks written by the background writer."),
            ("skyops_postgres_bgwriter_stops_total", "maxwritten_clean",
             "How often the background writer stopped because it had written its limit."),
            ("skyops_postgres_buffers_allocated_total", "buffers_alloc", "Blocks allocated."),
            ("skyops_postgres_wal_bytes_total", "wal_bytes", "Bytes of write-ahead log."),
            ("skyops_postgres_wal_buffers_full_total", "wal_buffers_full",
             "How often the log was written because its buffers were full."),
        )
    ),
)  # fmt: skip

POSTGRES_PARTS = (DATABASE, SIZES, SCHEMAS, LOCKS, SESSIONS, SERVER)
