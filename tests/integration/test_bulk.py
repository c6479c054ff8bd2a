"""Arrow in and out: whole transactions, types that come back as they went in, accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import adbc_driver_manager
import psycopg2
import pyarrow as pa
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources import reference
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import ServerUnreachable, Warehouse
from tests.support.databases import Query

AT = datetime(2021, 10, 7, 12, tzinfo=UTC)


def batch(number: int, **changes: object) -> bulk.Batch:
    fields: dict[str, object] = {
        "batch_id": number, "target": "raw.opensky_states", "source": "test",
        "window_start_at": AT, "window_end_at": AT, "read_rows": 3, "loaded_rows": 1,
        "duplicate_rows": 1, "rejected_rows": 1,
    }  # fmt: skip
    return bulk.Batch(**{**fields, **changes})


def test_a_table_comes_back_as_it_went_in(warehouse: Warehouse) -> None:
    table = pa.table(
        {
            "whole": pa.array([1, None], pa.int64()),
            "small": pa.array([1, None], pa.int16()),
            "broken": pa.array([0.1, None], pa.float64()),
            "said": pa.array(["'; drop table x; --", None], pa.string()),
            "is_so": pa.array([True, None], pa.bool_()),
            "moved_at": pa.array([AT, None], pa.timestamp("us", tz="UTC")),
        }
    )
    with bulk.transaction(warehouse) as cursor:
        cursor.adbc_ingest("kept", table, mode="create", db_schema_name="raw")
    assert bulk.read_arrow(warehouse, "select * from raw.kept") == table


def test_an_error_undoes_the_whole_transaction(warehouse: Warehouse, query: Query) -> None:
    with pytest.raises(ZeroDivisionError), bulk.transaction(warehouse) as cursor:
        bulk.record_batch(cursor, batch(bulk.next_batch(cursor)), started_at=AT)
        raise ZeroDivisionError
    assert query(warehouse, "select count(*) from raw.ingest_batches") == [(0,)]


def cut(warehouse: Warehouse) -> None:
    """End all other connections, as a server that goes down does."""
    with warehouse.connect("postgres", autocommit=True) as connection:
        connection.cursor().execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s",
            (warehouse.url.database,),
        )


def rows_until_cut(warehouse: Warehouse) -> pa.RecordBatchReader:
    """A million rows; the connection is cut after the first part of them."""
    part = pa.record_batch({"n": pa.array(range(10_000))})

    def parts() -> Iterator[pa.RecordBatch]:
        yield part
        cut(warehouse)
        for _ in range(99):
            yield part

    return pa.RecordBatchReader.from_batches(part.schema, parts())


def test_a_connection_that_is_lost_is_one_clear_sentence(warehouse: Warehouse) -> None:
    lost = r"connection to the warehouse .* was lost \(.*\)\. What was committed before is kept"
    with pytest.raises(ServerUnreachable, match=lost), bulk.transaction(warehouse) as cursor:
        cut(warehouse)
        cursor.execute("select 1")
    with pytest.raises(ServerUnreachable, match=lost), bulk.transaction(warehouse) as cursor:
        cursor.execute("select 1")
        cut(warehouse)  # The commit finds out.
    with pytest.raises(ServerUnreachable, match=lost), bulk.transaction(warehouse) as cursor:
        cursor.adbc_ingest("numbers", rows_until_cut(warehouse), mode="create")
    with pytest.raises(ServerUnreachable, match=lost) as caught, bulk.transaction(warehouse) as c:
        cut(warehouse)
        c.execute("select 'a secret'")
    assert "secret" not in str(caught.value)
    for autocommit in (True, False):
        with (
            pytest.raises(ServerUnreachable, match=lost),
            warehouse.connect(autocommit=autocommit) as connection,
        ):
            cut(warehouse)
            connection.cursor().execute("select 1")


def test_a_statement_that_fails_is_no_lost_connection(warehouse: Warehouse) -> None:
    with (
        pytest.raises(adbc_driver_manager.ProgrammingError),
        bulk.transaction(warehouse) as cursor,
    ):
        cursor.execute("select nonsense")
    with pytest.raises(psycopg2.errors.UndefinedColumn), warehouse.connect() as connection:
        connection.cursor().execute("select nonsense")
    with (
        pytest.raises(adbc_driver_manager.OperationalError),
        bulk.transaction(warehouse) as cursor,
    ):
        cursor.execute("set local statement_timeout = 1")
        cursor.execute("select pg_sleep(10)")
        cursor.fetchall()


def test_a_batch_is_recorded_with_its_window_and_run(warehouse: Warehouse, query: Query) -> None:
    with bulk.transaction(warehouse) as cursor:
        first = bulk.next_batch(cursor)
        bulk.record_batch(cursor, batch(first), started_at=AT, run_id="r1")
        second = bulk.next_batch(cursor)
        empty = batch(second, window_start_at=None, window_end_at=None, read_rows=0,
                      loaded_rows=0, duplicate_rows=0, rejected_rows=0)  # fmt: skip
        bulk.record_batch(cursor, empty, started_at=AT)
    assert second == first + 1
    assert query(
        warehouse,
        "select batch_id, window_start_at, started_at, run_id, finished_at > started_at "
        "from raw.ingest_batches order by 1",
    ) == [(first, AT, AT, "r1", True), (second, None, AT, None, True)]


def test_accounts_that_do_not_add_up_are_refused_by_the_table(warehouse: Warehouse) -> None:
    with pytest.raises(Exception, match="nothing_is_lost"), bulk.transaction(warehouse) as cursor:
        bulk.record_batch(cursor, batch(1, read_rows=4), started_at=AT)


def test_a_server_that_is_gone_is_a_clear_error(warehouse: Warehouse) -> None:
    gone = Warehouse(warehouse.url.set(database="gone"), True)
    with pytest.raises(SkyOpsError, match="no such database"), bulk.transaction(gone):
        pass


def airport(icao: str) -> dict[str, object]:
    return {"icao": icao, "name": icao, "latitude_deg": 49.0, "longitude_deg": 2.0,
            "elevation_m": 100.0, "timezone": "Europe/Paris"}  # fmt: skip


def test_reference_rows_are_replaced_whole_or_not_at_all(
    warehouse: Warehouse, query: Query
) -> None:
    for codes in (["LFPG", "LFPO"], ["LFPG", "LFPB"]):
        rows = pa.Table.from_pylist([airport(code) for code in codes])
        made = reference.replace_reference(warehouse, "raw.airports", "test", rows)
        assert made.read_rows == made.loaded_rows == 2
    stored = "select icao from raw.airports order by 1"
    assert query(warehouse, stored) == [("LFPB",), ("LFPG",)]
    twice = pa.Table.from_pylist([airport("LSZH"), airport("LSZH")])
    with pytest.raises(Exception, match="duplicate key"):
        reference.replace_reference(warehouse, "raw.airports", "test", twice)
    assert query(warehouse, stored) == [("LFPB",), ("LFPG",)]
    assert query(warehouse, "select count(*) from raw.ingest_batches") == [(2,)]


def test_the_worlds_airports_are_in_metres_and_include_the_demos() -> None:
    rows = {row["icao"]: row for row in reference.airports().to_pylist()}
    assert {"LFPG", "LFPO", "LFPB", "LFOB", "LFPV"} <= set(rows)
    assert rows["LFPG"]["elevation_m"] == pytest.approx(392 * 0.3048, abs=3)
    assert rows["LFPG"]["timezone"] == "Europe/Paris"
    assert len(rows) > 20_000


def test_a_plain_connection_commits_at_the_end_and_undoes_on_an_error(
    warehouse: Warehouse, query: Query
) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create table raw.one (n int)")
    with (
        pytest.raises(psycopg2.errors.DivisionByZero),
        warehouse.connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("insert into raw.one values (1)")
        cursor.execute("select 1 / 0")
    assert query(warehouse, "select count(*) from raw.one") == [(0,)]


def test_an_autocommit_connection_leaves_no_transaction_open(
    warehouse: Warehouse, query: Query
) -> None:
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        (pid,) = cursor.fetchone() or (0,)
        state = query(warehouse, "select state from pg_stat_activity where pid = %s", pid)
    assert state == [("idle",)]
