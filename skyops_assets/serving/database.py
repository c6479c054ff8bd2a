"""The service's connections: a pool that outlives a server that goes away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import Composable
from psycopg_pool import AsyncConnectionPool

SMALLEST, LARGEST = 1, 8
WAIT_S = 3.0
"""An answer waits so long for a connection; then it is 503."""
STATEMENT_S = 10
"""No answer keeps the server busy for longer."""

Row = dict[str, Any]


class Database:
    """Reads of the warehouse.

    Args:
        conninfo: as libpq reads it, password included.
    """

    def __init__(self, conninfo: str) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            conninfo,
            min_size=SMALLEST,
            max_size=LARGEST,
            timeout=WAIT_S,
            reconnect_timeout=30,
            open=False,
            # None is prepared on the server: a transaction pooler gives the session to others.
            kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": None,
                    "application_name": "skyops serve"},
            check=AsyncConnectionPool.check_connection,
        )  # fmt: skip

    async def open(self) -> None:
        """Begin to connect; the server may be away as yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """End all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Row]]:
        """A connection in a read-only transaction, with `STATEMENT_S` for each statement."""
        async with self._pool.connection() as connection:
            await connection.execute("begin read only")
            try:
                await connection.execute(f"set local statement_timeout = '{STATEMENT_S}s'")
                yield connection
            finally:
                if not connection.closed:
                    await connection.rollback()

    async def rows(
        self, query: LiteralString | Composable, values: Mapping[str, Any] | None = None
    ) -> list[Row]:
        """The rows of one query; ``%(name)s`` stand for the values."""
        async with self.connection() as connection:
            cursor = await connection.execute(query, values)  # type: ignore[arg-type]
            return await cursor.fetchall()
