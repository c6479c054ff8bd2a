"""Asks the databases at a scrape, and no more often than each part allows.

Belongs here: when a part is asked, for how long, and what happens where it fails. Does not: what is
asked and what it means (`exported`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from itertools import groupby

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from psycopg import AsyncConnection, Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from skyops_assets.errors import storable
from skyops_assets.serving.dagster_metrics import DAGSTER_PARTS
from skyops_assets.serving.database import Row
from skyops_assets.serving.exported import Part
from skyops_assets.serving.fleet_metrics import FLEET_PARTS
from skyops_assets.serving.metrics import SCRAPE_ERRORS, SCRAPE_SECONDS
from skyops_assets.serving.postgres_metrics import POSTGRES_PARTS
from skyops_assets.serving.warehouse_metrics import WAREHOUSE_PARTS
from skyops_assets.settings import Settings

PARTS = (*WAREHOUSE_PARTS, *FLEET_PARTS, *POSTGRES_PARTS, *DAGSTER_PARTS)
STATEMENT_S = 2.0
"""No part keeps the server busy for longer."""
LOCK_S = 0.5
"""Nor waits for longer for who rebuilds a table."""
DATABASE_S = 4.0
"""Nor do all parts of one database together: Prometheus itself waits for 10 s."""

SESSION = (
    f"set transaction read only; set local statement_timeout = {1000 * STATEMENT_S:.0f}; "
    f"set local lock_timeout = {1000 * LOCK_S:.0f}; set local time zone 'UTC'"
).encode()

log = logging.getLogger(__name__)


class Families:
    """What a scrape found, as `generate_latest` takes it."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._found


class Scrape:
    """The parts as they were last found.

    Not the answers' pool: a scrape must not wait for them, nor they for it. A connection is opened
    for each round and database, and closed.

    Args:
        conninfo: the warehouse, as libpq reads it; Dagster's database is beside it.
    """

    def __init__(self, conninfo: str, settings: Settings, parts: tuple[Part, ...] = PARTS) -> None:
        self._conninfo = {
            "warehouse": conninfo,
            "dagster": make_conninfo(conninfo, dbname=settings.dagster_database),
        }
        self._timeout_s = settings.connect_timeout_s
        self._values = {
            "airports": list(settings.watch_airports),
            "databases": [_database_of(conninfo), settings.dagster_database,
                          settings.mlflow_database],
        }  # fmt: skip
        self._parts = parts
        self._found: dict[str, list[Metric]] = {}
        self._due_at: dict[str, float] = {}
        self._failed: set[str] = set()
        self._asking = asyncio.Lock()
        for part in parts:
            SCRAPE_ERRORS.labels(part.name)

    async def families(self) -> Families:
        """What every part last told; those that are due are asked first."""
        async with self._asking:
            now = time.monotonic()
            due = [part for part in self._parts if self._due_at.get(part.name, now) <= now]
            by_database = groupby(sorted(due, key=_database), key=_database)
            await asyncio.gather(*(self._ask(one, list(parts)) for one, parts in by_database))
            return Families(metric for part in self._parts
                            for metric in self._found.get(part.name, ()))  # fmt: skip

    async def _ask(self, database: str, parts: list[Part]) -> None:
        waiting = {part.name: part for part in parts}
        reason: BaseException | None = None
        try:
            async with asyncio.timeout(DATABASE_S):
                connection = await AsyncConnection.connect(
                    self._conninfo[database],
                    autocommit=True,
                    row_factory=dict_row,
                    prepare_threshold=None,
                    connect_timeout=self._timeout_s,
                    application_name="skyops serve: metrics",
                )
                try:
                    for part in parts:
                        await self._ask_one(connection, part)
                        del waiting[part.name]
                finally:
                    await connection.close()
        except (Error, OSError, TimeoutError) as error:
            reason = error
        for part in waiting.values():
            self._lost(part, reason)

    async def _ask_one(self, connection: AsyncConnection[Row], part: Part) -> None:
        began = time.monotonic()
        try:
            async with connection.transaction():
                await connection.execute(SESSION)
                query = part.query(connection.info.server_version)
                cursor = await connection.execute(query.encode(), self._values)
                rows = await cursor.fetchall()
        except Error as error:
            if connection.closed:
                raise
            self._lost(part, error)
            return
        finally:
            SCRAPE_SECONDS.labels(part.name).set(time.monotonic() - began)
        self._found[part.name] = families(part, rows)
        self._due_at[part.name] = time.monotonic() + part.every_s
        if part.name in self._failed:
            self._failed.remove(part.name)
            log.warning("The metrics of %s are there again", part.name)

    def _lost(self, part: Part, error: BaseException | None) -> None:
        """Tell nothing of a part until it is asked again: an old figure would be taken for now."""
        self._found.pop(part.name, None)
        self._due_at[part.name] = time.monotonic() + part.every_s
        SCRAPE_ERRORS.labels(part.name).inc()
        if part.name not in self._failed:
            self._failed.add(part.name)
            said = storable(str(error) or type(error).__name__, 300)
            log.warning("The metrics of %s are missing: %s", part.name, said)


def _database_of(conninfo: str) -> str:
    """The name of the database that an address leads to."""
    return str(conninfo_to_dict(conninfo).get("dbname") or "postgres")


def families(part: Part, rows: list[Row]) -> list[Metric]:
    """A part's rows as samples; what is null is not told."""
    found: list[Metric] = []
    for one in part.metrics:
        kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
        family = kind(one.name, one.meaning, labels=one.labels)
        for row in rows:
            if (value := row[one.column]) is not None:
                family.add_metric([str(row[label]) for label in one.labels], float(value))
        found.append(family)
    return found


def _database(part: Part) -> str:
    return part.database
