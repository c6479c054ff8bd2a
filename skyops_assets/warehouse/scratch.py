"""A database for a while: made on the same server, filled from the warehouse, dropped at the end.

Belongs here: making, copying, dropping. Does not: what is done in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.databases import AS_MADE
from skyops_assets.warehouse.migrate import migrate


@contextmanager
def scratch(server: Warehouse, name: str, *others: str) -> Iterator[Warehouse]:
    """An empty, migrated warehouse in the database `name`; `others` are made empty beside it.

    Databases of these names are dropped first, and at the end, however it ends.
    """
    _drop(server, (name, *others))
    try:
        for database in (name, *others):
            _execute(server, f"create database {database} {AS_MADE}")
        warehouse = Warehouse(server.url.set(database=name), server.is_embedded)
        migrate(warehouse)
        yield warehouse
    finally:
        _drop(server, (name, *others))


def copy_table(
    source: Warehouse, target: Warehouse, table: str, condition: str, values: Mapping[str, Any]
) -> int:
    """Make `table` ("schema.name") in the target with the source's rows that meet `condition`.

    Values are bound to the condition by name, as in ``%(airports)s``.

    Columns keep their order and types; keys and indexes are not copied. A table that the source
    has not is not made.

    Returns:
        How many rows were copied.
    """
    import tempfile

    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select quote_ident(attname), format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
            (table,),
        )
        columns = cursor.fetchall()
        if not columns:
            return 0
        names = ", ".join(column for column, _ in columns)
        # COPY binds nothing, so the driver writes the values in.
        chosen = cursor.mogrify(condition, values).decode()
        with tempfile.TemporaryFile() as file:
            cursor.copy_expert(
                f"copy (select {names} from {table} where {chosen}) "  # noqa: S608
                "to stdout (format binary)",
                file,
            )
            file.seek(0)
            with target.connect() as other, other.cursor() as writer:
                writer.execute(f"create schema if not exists {table.partition('.')[0]}")
                types = ", ".join(" ".join(column) for column in columns)
                writer.execute(f"create table {table} ({types})")
                writer.copy_expert(f"copy {table} ({names}) from stdin (format binary)", file)
                return int(writer.rowcount)


def _drop(server: Warehouse, names: Sequence[str]) -> None:
    for name in names:
        _execute(server, f"drop database if exists {name} with (force)")


def _execute(server: Warehouse, statement: str) -> None:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
