"""A warehouse over several servers holds what one server would, and shows no load half."""

from __future__ import annotations

import random
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.quality.periodic import storage
from skyops_assets.quality.volumes import counts_by_hour
from skyops_assets.settings import Settings
from skyops_assets.sources.opensky.loading.partitions import (
    drop_old_partitions,
    index_finished_days,
)
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.warehouse import citus
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.citus import START, STORED, Cluster, positions
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("citus")

ACCOUNTS = (
    "select batch_id, read_rows, loaded_rows, duplicate_rows, rejected_rows "
    "from raw.ingest_batches order by 1"
)


@pytest.fixture
def distributed(servers: Cluster, request: pytest.FixtureRequest) -> Warehouse:
    """A warehouse of the test's own; the cluster ends with the module."""
    return servers.warehouse(f"w{abs(hash(request.node.name)) % 10**8}")


def load(warehouse: Warehouse, rows: pa.Table, source: str = "test") -> None:
    load_states(warehouse, Recording(source, rows, rows))


def test_loads_in_any_cut_are_stored_as_on_one_server(
    distributed: Warehouse, warehouse: Warehouse, query: Query
) -> None:
    """New days, rows that come twice, contacts that are nearer, columns that lack throughout."""
    luck = random.Random(1)
    found = positions(luck, 4)
    again = positions(luck, 4)
    bare = positions(luck, 3).drop_columns(["squawk", "callsign"])
    empty = pa.nulls(len(bare), pa.string())
    bare = bare.append_column("squawk", empty).append_column("callsign", empty)
    bare = bare.select(found.column_names)
    cuts = [
        found.filter(pa.array([luck.random() < 0.5 for _ in range(len(found))])),
        found,
        again.filter(pa.array([luck.random() < 0.3 for _ in range(len(again))])),
        bare,
        positions(luck, 30).slice(0, 2000),
    ]
    for rows in cuts:
        for target in (distributed, warehouse):
            load(target, rows)
            load(target, rows.slice(0, 50), "other")
    stored = query(distributed, STORED)
    assert stored == query(warehouse, STORED)
    assert len(stored) > 2500
    assert query(distributed, ACCOUNTS) == query(warehouse, ACCOUNTS)
    hours = [START + timedelta(hours=n) for n in range(4)]
    assert counts_by_hour(distributed, hours) == counts_by_hour(warehouse, hours) != []
    [(loaded,)] = query(distributed, "select sum(loaded_rows)::int from raw.ingest_batches")
    assert loaded == len(stored)


def test_days_are_distributed_indexed_measured_and_dropped(
    distributed: Warehouse, query: Query, tmp_path: Path
) -> None:
    assert migrate(distributed) == []
    assert citus.distribute(distributed) == []
    load(distributed, positions(random.Random(2), 30))
    placed = query(
        distributed,
        "select partitions.inhrelid::regclass::text, count(distinct placements.nodename || ':' || "
        "placements.nodeport) from pg_inherits as partitions "
        "inner join pg_dist_shard as shards on shards.logicalrelid = partitions.inhrelid "
        "inner join pg_dist_shard_placement as placements using (shardid) "
        "where partitions.inhparent = 'raw.opensky_states'::regclass group by 1 order by 1",
    )
    assert [name[-8:] for name, _ in placed] == ["20211007", "20211008", "20211009"]
    assert {servers for _, servers in placed} == {2}
    [(local,)] = query(distributed, "select count(*) from only raw.opensky_states")
    assert local == 0
    now = datetime(2021, 10, 9, 12, tzinfo=UTC)
    days = [date(2021, 10, 7), date(2021, 10, 8)]
    query(distributed, "update raw.ingest_batches set finished_at = '2021-10-09'")
    assert index_finished_days(distributed, now) == days
    assert index_finished_days(distributed, now) == []
    found = storage(distributed, tmp_path, None)
    assert found.servers == 2
    assert found.free_bytes
    assert all(size > 100_000 for size in found.day_bytes)
    assert found.database_bytes > 3 * 7_000_000
    dropped = drop_old_partitions(distributed, 1, now)
    assert dropped == {days[0]: 120 * 12}
    [(left,)] = query(distributed, "select count(*)::int from raw.opensky_states")
    assert left == 28 * 60 * 12


def test_who_lists_the_loads_sees_each_whole(distributed: Warehouse, query: Query) -> None:
    """Without the lock some are seen torn: Citus commits on one server after the other."""
    load(distributed, positions(random.Random(3), 1))
    failed: list[BaseException] = []

    def write(number: int) -> None:
        luck = random.Random(number)
        try:
            for _ in range(12):
                load(distributed, positions(luck, 1, aircraft=40), f"writer{number}")
        except BaseException as error:  # It is the test's to tell.
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    looks = 0
    while any(writer.is_alive() for writer in writers):
        with distributed.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select audit.wait_for_loads()")
            cursor.execute(
                "select source, sum(loaded_rows)::int from raw.ingest_batches group by 1 order by 1"
            )
            listed = cursor.fetchall()
        rows = query(
            distributed,
            "select source, count(*)::int from raw.opensky_states group by 1 order by 1",
        )
        # What came since is more, and never less.
        seen = dict(rows)
        assert all(seen[source] >= loaded for source, loaded in listed), (listed, rows)
        looks += 1
    for writer in writers:
        writer.join()
    assert not failed
    assert looks > 3


def test_what_a_killed_worker_left_prepared_is_recovered_before_loads_are_listed(
    servers: Cluster, distributed: Warehouse, query: Query
) -> None:
    load(distributed, positions(random.Random(4), 1))
    [(port,)] = query(
        distributed, "select nodeport from pg_dist_node where groupid > 0 order by 1 limit 1"
    )
    worker = Warehouse(distributed.url.set(port=port), False)
    with worker.connect(autocommit=True) as connection, connection.cursor() as cursor:
        # As Citus names its own: of a coordinator's transaction that has ended without a commit.
        cursor.execute("begin; create table public.left_over (n int)")
        cursor.execute("prepare transaction 'citus_0_99999_1_1'")
    query(distributed, "select audit.wait_for_loads()")
    with worker.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_prepared_xacts where database = current_database()")
        assert cursor.fetchone() == (0,)
        cursor.execute("select to_regclass('public.left_over')")
        assert cursor.fetchone() == (None,)


def test_without_citus_a_server_that_must_have_it_is_refused(home: Path) -> None:
    with pytest.raises(SkyOpsError, match="the embedded server has no Citus"):
        open_warehouse(Settings(home=home, citus=True))
