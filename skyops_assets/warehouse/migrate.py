"""Bring the warehouse's schema up to date from the numbered SQL files beside this module.

Plain numbered SQL: the schema only moves forward, and one table remembers what ran.
Each file runs once, in its own transaction, under a lock that several processes share. On Citus
the tables that are large are distributed at the end.
"""

from __future__ import annotations

from pathlib import Path

from skyops_assets.warehouse import citus
from skyops_assets.warehouse.connection import Warehouse

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = "hashtext('skyops.migrate')"


def migrate(warehouse: Warehouse, folder: Path = MIGRATIONS) -> list[str]:
    """Apply the migrations that have not run yet.

    Returns:
        The names of the files applied now, in order; empty when all had run.
    """
    applied = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        with warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"select pg_advisory_xact_lock({_LOCK})")
            cursor.execute(
                "create table if not exists public.skyops_migrations "
                "(name text primary key, applied_at timestamptz not null default now())"
            )
            cursor.execute(
                "insert into public.skyops_migrations (name) values (%s) on conflict do nothing",
                (path.name,),
            )
            if cursor.rowcount:
                cursor.execute(path.read_text())
                applied.append(path.name)
    citus.distribute(warehouse)
    return applied
