"""A warehouse over several servers: what Citus distributes, and how loads are seen whole.

Belongs here: whether the warehouse is Citus, which of the tables that migrations make are
distributed, and the lock that stands for the snapshot that Citus lacks. Does not: dbt's tables,
which its macros distribute (`dbt_project/macros/distribution.sql`).

Everything goes through the coordinator, whose advisory locks are the ones that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

KEY = "icao24"
LOADS = "skyops.loads"
"""The lock that each load of positions shares until it has committed on all servers. A transform
that has it alone sees each load whole or not at all: `audit.wait_for_loads()` takes it."""
STATES = "raw.opensky_states"
DISTRIBUTED = {
    STATES: KEY,
    "audit.transform_ranges": "changed_icao24",
    "audit.live_ranges": "changed_icao24",
}
"""Tables and the column of the address, whose rows of one address lie together."""
_SUMMARIZE = """
select count(*) from run_command_on_shards('{table}', $command$
    select sum(brin_summarize_new_values(pg_index.indexrelid)) from pg_index
    inner join pg_class on pg_class.oid = pg_index.indexrelid
    inner join pg_am on pg_am.oid = pg_class.relam
    where pg_index.indrelid = '%s'::regclass and pg_am.amname = 'brin'
$command$)
"""
_IS_CITUS = "select exists (select 1 from pg_extension where extname = 'citus')"


def is_citus(cursor: Any) -> bool:
    """Whether the session's database is distributed; `cursor` is of psycopg2 or ADBC."""
    cursor.execute(_IS_CITUS)
    return bool(cursor.fetchone()[0])


def require(warehouse: Warehouse) -> None:
    """See that the warehouse is Citus, and create its extension where it is missing.

    Raises:
        SkyOpsError: the server has no Citus, or the user may not create the extension.
    """
    import psycopg2

    if warehouse.is_embedded:
        raise SkyOpsError(
            "SKYOPS_CITUS is set, and the embedded server has no Citus: name the coordinator of a "
            "Citus cluster in SKYOPS_DATABASE_URL, or take SKYOPS_CITUS out."
        )
    with (
        warehouse.connect(autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        if is_citus(cursor):
            return
        try:
            cursor.execute("create extension if not exists citus")
        except psycopg2.Error as error:
            raise SkyOpsError(
                f"SKYOPS_CITUS is set, and the warehouse {warehouse.safe_url} has no extension "
                f"citus, nor can it be created ({' '.join(str(error).split())}). As a superuser, "
                "run there and on each worker, in the same database: create extension citus"
            ) from None


def distribute(warehouse: Warehouse) -> list[str]:
    """Distribute what migrations have made, unless it is; on plain Postgres nothing.

    Rows that are there already move to the workers.

    Returns:
        The tables that were distributed now.
    """
    if warehouse.is_embedded:
        return []
    found = []
    with warehouse.connect() as connection, connection.cursor() as cursor:
        if not is_citus(cursor):
            return []
        cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.migrate'))")
        for table, key in DISTRIBUTED.items():
            cursor.execute(
                "select 1 from pg_dist_partition "
                "where logicalrelid = %s::regclass and partmethod = 'h'",
                (table,),
            )
            if cursor.fetchone():
                continue
            # As in the models: tables lie together by one order of texts.
            cursor.execute(f'alter table {table} alter {key} type text collate "C"')
            cursor.execute(
                "select create_distributed_table(%s, %s, colocate_with => %s)",
                (table, key, "none" if table == STATES else STATES),
            )
            found.append(table)
    return found


def begin_load(cursor: Any) -> bool:
    """Share the lock of loads until the transaction ends; on plain Postgres nothing.

    Returns:
        Whether the warehouse is Citus.
    """
    if not is_citus(cursor):
        return False
    cursor.execute(f"select pg_advisory_xact_lock_shared(hashtext('{LOADS}'))")
    # What a transaction sets holds on the workers too.
    cursor.execute("set local citus.propagate_set_commands = 'local'")
    return True


def distribute_day(cursor: Any, table: str) -> None:
    """Distribute a day's new and empty table as its parent is; before any row of the transaction.

    One shard after the other: a table is attached over the connections that made its shards.
    """
    cursor.execute("set local citus.multi_shard_modify_mode = 'sequential'")
    cursor.execute(
        f"select create_distributed_table('{table}', '{KEY}', colocate_with => '{STATES}')::text"
    )
    cursor.fetchall()


def summarize(cursor: Any, table: str) -> None:
    """Let the BRIN indexes of a table's shards know of new pages."""
    cursor.execute(_SUMMARIZE.format(table=table))
    cursor.fetchall()


def free_bytes(cursor: Any) -> list[int]:
    """What is free on the disk of each server that holds positions; none of plain Postgres."""
    if not is_citus(cursor):
        return []
    cursor.execute(
        "select result::bigint from run_command_on_workers("
        "'select available_disk_size from citus_local_disk_space_stats()') where success"
    )
    return [int(row[0]) for row in cursor.fetchall()]


def database_bytes(cursor: Any) -> int:
    """The size of the session's database, on all servers."""
    cursor.execute("select pg_database_size(current_database())")
    size = int(cursor.fetchone()[0])
    if is_citus(cursor):
        cursor.execute(
            "select coalesce(sum(result::bigint), 0) from run_command_on_workers("
            "'select pg_database_size(current_database())') where success"
        )
        size += int(cursor.fetchone()[0])
    return size
