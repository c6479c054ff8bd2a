"""Dagster's storage with kept connections: on a real Postgres, as dagster.yaml names it.

What is stored is Dagster's own. These tests also notice where an upgrade of Dagster no longer asks
through the pool.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy

from skyops_assets.instance import storage
from skyops_assets.instance.storage import AT_MOST, KEPT
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query

OPEN = (
    "select pid from pg_stat_activity "
    "where datname = current_database() and pid <> pg_backend_pid() "
    "and backend_type = 'client backend'"
)


@dg.asset
def one() -> None: ...


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec(f"check_{number}", asset=one) for number in range(40)]
)
def checks() -> Iterator[dg.AssetCheckResult]:
    for number in range(40):
        yield dg.AssetCheckResult(check_name=f"check_{number}", passed=number != 7)


@pytest.fixture
def instance(
    home: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> Iterator[dg.DagsterInstance]:
    (home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("SKYOPS_DAGSTER_URL", warehouse.sqlalchemy())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as fresh:
        yield fresh


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    """Each connection that SQLAlchemy opens meanwhile."""
    made: list[Any] = []

    def note(connection: Any, _: Any) -> None:
        made.append(connection)

    sqlalchemy.event.listen(sqlalchemy.Pool, "connect", note)
    yield made
    sqlalchemy.event.remove(sqlalchemy.Pool, "connect", note)


def backend(instance: dg.DagsterInstance) -> int:
    """The server's process that answers this one."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return int(connection.exec_driver_sql("select pg_backend_pid()").scalar())


def test_a_run_keeps_its_connections_and_all_of_its_results(
    instance: dg.DagsterInstance, opened: list[Any], warehouse: Warehouse, query: Query
) -> None:
    run = dg.materialize([one, checks], instance=instance)
    # With Dagster's own storage 323, for 458 statements.
    assert 0 < len(opened) <= 3
    assert run.success
    keys = [dg.AssetCheckKey(one.key, f"check_{number}") for number in range(40)]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {key.name: record.status.value for key, record in found.items()} == {
        f"check_{number}": "FAILED" if number == 7 else "SUCCEEDED" for number in range(40)
    }
    told = dict(
        query(
            warehouse,
            "select dagster_event_type, count(*)::int from event_logs "
            "where dagster_event_type like 'ASSET%%' group by 1",
        )
    )
    assert told == {
        "ASSET_MATERIALIZATION": 1,
        "ASSET_MATERIALIZATION_PLANNED": 1,
        "ASSET_CHECK_EVALUATION": 40,
        "ASSET_CHECK_EVALUATION_PLANNED": 40,
    }


def test_every_part_of_the_storage_asks_through_the_pool(
    instance: dg.DagsterInstance, opened: list[Any]
) -> None:
    for _ in range(5):
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()
        assert instance.event_log_storage.supports_asset_checks
    assert len(opened) <= KEPT


def test_a_connection_that_the_server_closed_goes_unnoticed(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a restart, or by a pooler that closes what is idle."""
    monkeypatch.setattr(storage, "TRUSTED_S", 0)
    before = backend(instance)
    assert backend(instance) == before
    query(warehouse, f"select pg_terminate_backend(pid) from ({OPEN}) as others")
    assert backend(instance) != before
    assert instance.get_runs_count() == 0


def test_a_connection_that_was_used_just_now_is_not_tried_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial is a statement of its own: 2,300 in a run."""
    monkeypatch.setattr(storage, "TRUSTED_S", 60)
    backend(instance)
    engine = instance.event_log_storage._engine  # type: ignore[attr-defined]
    tried: list[Any] = []
    monkeypatch.setattr(engine.dialect, "do_ping", tried.append)
    backend(instance)
    assert not tried
    monkeypatch.setattr(storage, "TRUSTED_S", 0)
    backend(instance)
    assert len(tried) == 1


def test_a_forked_process_leaves_the_connections_to_its_parent(
    instance: dg.DagsterInstance,
) -> None:
    before = backend(instance)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(backend(instance)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 20)) != before
    assert backend(instance) == before


def test_many_threads_share_a_limited_number_of_connections(
    instance: dg.DagsterInstance, warehouse: Warehouse, query: Query
) -> None:
    together = threading.Barrier(AT_MOST)
    answers: list[int] = []

    def hold() -> None:
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            together.wait(30)
            answers.append(connection.exec_driver_sql("select 1").scalar())

    for _ in range(2):
        threads = [threading.Thread(target=hold) for _ in range(AT_MOST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [1] * 2 * AT_MOST
    # The server takes note of each end a moment later.
    patience = time.monotonic() + 10
    while len(query(warehouse, OPEN)) > KEPT and time.monotonic() < patience:
        time.sleep(0.05)
    assert len(query(warehouse, OPEN)) <= KEPT


def test_the_end_of_an_instance_closes_all(
    instance: dg.DagsterInstance, warehouse: Warehouse, query: Query
) -> None:
    backend(instance)
    instance.dispose()
    # The server takes note a moment later.
    patience = time.monotonic() + 10
    while query(warehouse, OPEN) and time.monotonic() < patience:
        time.sleep(0.05)
    assert query(warehouse, OPEN) == []
    # It may be used again: Dagster disposes of instances that others still hold.
    assert instance.get_runs_count() == 0


def test_the_graph_can_be_given_another_database(
    graph: Any, pointed: Warehouse, databases: Databases, query: Query
) -> None:
    """Assets and dbt write to it, and the environment's stays as it was."""
    from skyops_assets.defs.resources import WarehouseResource

    other = databases.new(is_migrated=False)
    chosen = [["raw", "airports"], ["staging", "stg_reference__aircraft"]]
    before = dict(os.environ)
    try:
        defs = graph.build_defs({"warehouse": WarehouseResource(url=other.libpq())})
        with dg.DagsterInstance.ephemeral() as instance:
            run = defs.get_implicit_global_asset_job_def().execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey(path) for path in chosen]
            )
        assert run.success
        made = (
            "select (select count(*) > 10000 from raw.airports), "
            "to_regclass('staging.stg_reference__aircraft') is not null"
        )
        assert query(other, made) == [(True, True)]
        assert query(pointed, made) == [(False, False)]
    finally:
        databases.drop(other)
    assert dict(os.environ) == before
