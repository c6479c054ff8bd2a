"""Asks the warehouse with psycopg2, a row at a time, and writes rows.

Belongs here: one way to ask, to insert, to write a moment into a condition. Does not: Arrow and
loads (`bulk`). User text is bound, never written into a statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.sessions import is_pooled

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd


def timestamp(moment: datetime) -> str:
    """A moment as an SQL literal; its text is Python's own, so that nothing has to be quoted.

    Raises:
        SkyOpsError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise SkyOpsError(f"The moment {moment} has no time zone; give it in UTC.")
    return f"timestamptz '{moment.isoformat()}'"


def moment_condition(column: str, moment: datetime | None, operator: str = "<") -> str:
    """The condition that leaves out what was known only after `moment`; none for None."""
    if moment is None:
        return ""
    return f" and {column} {operator} {timestamp(moment)}"


def field_names(kind: type) -> str:
    """A dataclass's fields as a list of columns."""
    return ", ".join(kind.__dataclass_fields__)  # type: ignore[attr-defined]


def insert_statement(table: str, row: dict[str, Any]) -> str:
    """An insert of one row, whose values are bound by name."""
    names = list(row)
    values = ", ".join(f"%({name})s" for name in names)
    return f"insert into {table} ({', '.join(names)}) values ({values})"  # noqa: S608


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as psycopg2 takes them: no numpy types, every missing value None."""
    objects = frame.astype(object).where(frame.notna(), None)
    return objects.to_dict("records")  # type: ignore[return-value]


def insert_many(cursor: Any, table: str, rows: Sequence[dict[str, Any]], suffix: str = "") -> int:
    """Insert rows; with a ``returning`` suffix the count is of rows written."""
    from psycopg2.extras import execute_values

    if not rows:
        return 0
    names = list(rows[0])
    written = execute_values(
        cursor,
        f"insert into {table} ({', '.join(names)}) values %s{suffix}",  # noqa: S608
        [tuple(row[name] for name in names) for row in rows],
        page_size=2000,
        fetch="returning" in suffix,
    )
    return len(rows) if written is None else len(written)


def execute(warehouse: Warehouse, statement: str, values: dict[str, Any]) -> None:
    """Run a statement in a transaction of its own."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def fetch_all(warehouse: Warehouse, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a query, each a dict by column."""
    from psycopg2.extras import RealDictCursor

    with (
        warehouse.connect() as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]


def fetch_one(warehouse: Warehouse, query: str, values: dict[str, Any]) -> dict[str, Any] | None:
    """The first row of a query as a dict by column; None where there is none."""
    rows = fetch_all(warehouse, query, values)
    return rows[0] if rows else None


def read_only(warehouse: Warehouse, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The columns and rows of a person's query, which can change nothing; no columns for none.

    Raises:
        SkyOpsError: it holds several statements, and there is a pooler before the server: after a
            COMMIT among them the next one would run in a session of which nothing is known.
    """
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        if is_pooled(cursor):
            _refuse_several(warehouse, query)
            cursor.execute("begin read only")
        else:
            # For the session, not for one transaction: the query may hold a COMMIT.
            connection.set_session(readonly=True)
        cursor.execute(query)
        if cursor.description is None:
            return [], []
        return [column.name for column in cursor.description], cursor.fetchall()


def _refuse_several(warehouse: Warehouse, query: str) -> None:
    """A prepared statement is one statement, in the server's own reading of the text."""
    import adbc_driver_manager

    from skyops_assets.warehouse import bulk

    with bulk.transaction(warehouse) as cursor:
        try:
            cursor.adbc_prepare(query)
        except adbc_driver_manager.Error as error:
            if "multiple commands" in str(error):
                raise SkyOpsError(
                    "Through a pooler a query is one statement; this one holds several."
                ) from None
            # What else is wrong with it is told when it runs.
