"""Servers of a Citus cluster are killed during loads: nothing is lost, doubled or seen half.

`make test` kills a few, `make torture` 20 (`--long`); both skip where there is no Citus.
"""

from __future__ import annotations

import random
import time
from threading import Event, Thread

import adbc_driver_manager
import psycopg2
import pyarrow as pa
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.warehouse.connection import Warehouse
from tests.support.citus import STORED, Cluster, positions
from tests.support.databases import Query

pytestmark = [pytest.mark.xdist_group("citus"), pytest.mark.timeout(3600)]

NODES = ("coordinator", "worker1", "worker2")
LOST = (SkyOpsError, psycopg2.Error, adbc_driver_manager.Error)
SUMS = "select source, sum(loaded_rows)::int from raw.ingest_batches group by 1 order by 1"
COUNTS = "select source, count(*)::int from raw.opensky_states group by 1 order by 1"


def half(rows: pa.Table, luck: random.Random) -> pa.Table:
    return rows.filter(pa.array([luck.random() < 0.5 for _ in range(len(rows))]))


def write(warehouse: Warehouse, loads: list[tuple[str, pa.Table]], source: str) -> None:
    """Load all of a source in their order, each until it is told that it is committed."""
    for name, rows in loads:
        while name == source:
            try:
                load_states(warehouse, Recording(name, rows, rows))
                break
            except LOST:
                # As a collector does: the same once more, whether or not it was committed.
                time.sleep(0.3)


class Reader(Thread):
    """Lists the loads again and again, and looks whether their rows are all there."""

    def __init__(self, warehouse: Warehouse, query: Query) -> None:
        super().__init__()
        self.warehouse = warehouse
        self.query = query
        self.is_ended = Event()
        self.looks = 0
        self.torn: list[object] = []

    def run(self) -> None:
        while not self.is_ended.is_set():
            try:
                with self.warehouse.connect() as connection, connection.cursor() as cursor:
                    cursor.execute("select audit.wait_for_loads()")
                    cursor.execute(SUMS)
                    listed = cursor.fetchall()
                seen = dict(self.query(self.warehouse, COUNTS))
            except LOST:
                time.sleep(0.3)
                continue
            self.looks += 1
            # What came since is more, and never less.
            self.torn += [(one, seen) for one in listed if seen.get(one[0], 0) < one[1]]


def test_servers_that_are_killed_lose_double_and_tear_no_load(
    servers: Cluster, warehouse: Warehouse, query: Query, request: pytest.FixtureRequest
) -> None:
    kills = 20 if request.config.getoption("--long") else 3
    distributed = servers.warehouse("killed")
    luck = random.Random(5)
    loads = [(f"writer{number % 2}", half(positions(luck, 2), luck)) for number in range(4 * kills)]
    writers = [Thread(target=write, args=(distributed, loads, f"writer{n}")) for n in range(2)]
    reader = Reader(distributed, query)
    for thread in (*writers, reader):
        thread.start()
    for _ in range(kills):
        time.sleep(luck.uniform(0.2, 2))
        servers.kill(luck.choice(NODES))
        servers.start("killed")
    for writer in writers:
        writer.join()
    reader.is_ended.set()
    reader.join()
    assert not reader.torn
    assert reader.looks
    query(distributed, "select audit.wait_for_loads()")
    assert query(distributed, COUNTS) == query(distributed, SUMS)
    for name, rows in loads:
        load_states(warehouse, Recording(name, rows, rows))
    without_batch = STORED.replace("to_jsonb(t)", "(to_jsonb(t) - 'batch_id')")
    assert query(distributed, without_batch) == query(warehouse, without_batch)
