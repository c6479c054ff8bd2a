"""dbt's connections: one for a thread, as on a real Postgres. An upgrade of dbt is noticed here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.postgres.connections import PostgresCredentials
from dbt.adapters.postgres.impl import PostgresAdapter

from skyops_assets.transform.dbt_connections import keep_connections
from skyops_assets.warehouse.connection import Warehouse

Query = Callable[..., list[tuple[Any, ...]]]
Of = Callable[..., Connection]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What dbt opens and closes connections with, once they are kept."""
    monkeypatch.setattr(PostgresAdapter, "ConnectionManager", PostgresAdapter.ConnectionManager)
    keep_connections()
    return PostgresAdapter.ConnectionManager


@pytest.fixture
def fresh(warehouse: Warehouse) -> Of:
    """A connection of a model, as dbt makes it: not open yet."""
    parts = warehouse.parts

    def make(**other: str) -> Connection:
        credentials = PostgresCredentials(
            host=parts["host"], port=int(parts["port"]), user=parts["user"],
            password=parts["password"], database=parts["dbname"], schema="public", **other,
        )  # fmt: skip
        return Connection(type="postgres", name="model", credentials=credentials)

    return make


def backend(manager: Any, connection: Connection) -> int:
    """Opens it, has it answer, closes it: the server's process that answered."""
    manager.open(connection)
    assert connection.state == ConnectionState.OPEN
    cursor = connection.handle.cursor()
    cursor.execute("select pg_backend_pid()")
    pid = int(cursor.fetchone()[0])
    manager.close(connection)
    assert connection.state == ConnectionState.CLOSED
    return pid


def test_a_thread_has_one_connection(manager: Any, fresh: Of) -> None:
    first = backend(manager, fresh())
    assert backend(manager, fresh()) == first
    others: list[int] = []
    thread = threading.Thread(target=lambda: others.append(backend(manager, fresh())))
    thread.start()
    thread.join()
    assert others != [first]
    assert backend(manager, fresh(application_name="other")) != first


def test_what_a_model_left_undone_is_undone(
    manager: Any, fresh: Of, warehouse: Warehouse, query: Query
) -> None:
    first = backend(manager, fresh())
    model = fresh()
    manager.open(model)
    cursor = model.handle.cursor()
    cursor.execute("create table half_done (a int)")
    with pytest.raises(Exception, match="no_such_table"):
        cursor.execute("select * from no_such_table")
    manager.close(model)
    assert backend(manager, fresh()) == first
    assert query(warehouse, "select to_regclass('half_done')") == [(None,)]


def test_one_that_the_server_has_closed_is_opened_again_after_its_error(
    manager: Any, fresh: Of, warehouse: Warehouse, query: Query
) -> None:
    first = backend(manager, fresh())
    query(warehouse, "select pg_terminate_backend(%s)", first)
    with pytest.raises(Exception, match=r"terminat|closed"):
        backend(manager, fresh())
    assert backend(manager, fresh()) != first
