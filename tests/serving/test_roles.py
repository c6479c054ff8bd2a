"""What the roles of the database may not do, tried by sessions of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from pydantic import SecretStr

from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.query import read_only
from skyops_assets.warehouse.roles import READER, SERVICE, Role, connected, ensure, grant_reading
from tests.support.databases import outside
from tests.support.servers import PASSWORD, Server, pgbouncer, postgres

pytestmark = pytest.mark.xdist_group("serving")

MAY_NOT = (
    "create table raw.mine (n integer)",
    "create table public.mine (n integer)",
    "create schema mine",
    "create temporary table mine (n integer)",
    "select lo_from_bytea(0, 'x')",
    "insert into audit.api_keys (key_id, key_sha256, owner, scopes, created_by) "
    "values ('k', sha256('k'), 'o', '{admin}', 'o')",
    "update raw.airports set name = 'x'",
    "delete from ml.model_versions",
    "truncate audit.monitoring_log",
    "drop table metrics.fct_new",
    "copy (select 1) to program 'true'",
    "select pg_read_file('postgresql.conf')",
    "set role {owner}",
    "set session authorization {owner}",
    "alter role {owner} password 'x'",
)
ESCAPES = (
    "select 1", "reset all", "reset role", "discard all", "begin; set transaction read write",
    "set session characteristics as transaction read write",
    "set default_transaction_read_only = off",
)  # fmt: skip


@contextmanager
def session(warehouse: Warehouse) -> Iterator[Any]:
    connection = psycopg2.connect(warehouse.libpq())
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def refused(cursor: Any, statement: str) -> str:
    with pytest.raises(psycopg2.Error) as error:
        cursor.execute(statement)
    return str(error.value)


@pytest.fixture(scope="module")
def opened(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The warehouse of this module with its roles, and as each of them sees it."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    ensure(shared_warehouse, settings)
    with shared_warehouse.connect() as c, c.cursor() as cursor:
        # As dbt makes it: anew, after the roles were.
        cursor.execute("create table if not exists metrics.fct_new as select 1 as n")
    as_roles = {}
    for role in (READER, SERVICE):
        as_roles[role.suffix], why = connected(shared_warehouse, settings, role)
        assert why is None
    return settings, as_roles


@pytest.mark.parametrize("name", ["reader", "service"])
def test_a_role_reads_and_can_do_nothing_else(opened: Any, name: str) -> None:
    _, as_roles = opened
    with session(as_roles[name]) as cursor:
        cursor.execute("select session_user, n from metrics.fct_new")
        assert cursor.fetchone()[0].endswith(f"_{name}")
        for escape in ESCAPES:
            for statement in MAY_NOT:
                cursor.execute(escape)
                said = refused(cursor, statement.replace("{owner}", "postgres"))
                is_open = "read write" in escape or "off" in escape
                assert (
                    "permission denied" in said
                    or "must be owner" in said
                    or ("read-only transaction" in said and not is_open)
                ), (escape, statement, said)
                cursor.execute("rollback")


def test_the_reader_does_not_see_keys_and_the_service_no_raw_positions(
    opened: Any,
) -> None:
    _, as_roles = opened
    with session(as_roles["reader"]) as cursor:
        cursor.execute("select count(*) from raw.airports")
        cursor.execute("select count(*) from audit.monitoring_log")
        for query in ("select * from audit.api_keys", "table audit.api_keys",
                      "copy audit.api_keys to stdout",
                      "select key_sha256 from audit.api_keys"):  # fmt: skip
            assert "permission denied for table api_keys" in refused(cursor, query)
    with session(as_roles["service"]) as cursor:
        cursor.execute("select key_id from audit.api_keys")
        said = refused(cursor, "select * from raw.opensky_states")
        assert "permission denied for table opensky_states" in said


def test_no_other_table_of_secrets_is_read(opened: Any, shared_warehouse: Warehouse) -> None:
    with session(shared_warehouse) as cursor:
        cursor.execute(
            "select table_schema || '.' || table_name from information_schema.columns"
            " where column_name ~ 'secret|password|token|key_sha'"
        )
        secret = {row[0] for row in cursor.fetchall() if not row[0].startswith("pg_catalog.")}
    assert secret == set(READER.hidden)


def test_a_table_that_is_made_anew_stays_readable(opened: Any, shared_warehouse: Warehouse) -> None:
    _, as_roles = opened
    with shared_warehouse.connect() as c, c.cursor() as cursor:
        cursor.execute("create table metrics.fct_other__dbt_tmp as select 2 as n")
        cursor.execute("alter table metrics.fct_other__dbt_tmp rename to fct_other")
        cursor.execute("create view live.other as select * from raw.airports")
    for found in as_roles.values():
        assert read_only(found, "select n from metrics.fct_other")[1] == [(2,)]
        # A view reads as its owner.
        assert read_only(found, "select count(*) from live.other")[1] == [(0,)]


def test_the_service_writes_its_log_and_corrections_and_nothing_else(
    opened: Any, shared_warehouse: Warehouse
) -> None:
    settings, as_roles = opened
    log = SERVICE.inserts[0]
    with shared_warehouse.connect() as c, c.cursor() as cursor:
        cursor.execute(f"create table if not exists {log} (n integer)")
    ensure(shared_warehouse, settings)
    add = f"insert into {log} select * from {log}"
    correct = (
        "insert into audit.corrections (kind, flight_id, author, reason)"
        " values ('leave out flight', 'f', 'a', 'r')"
    )
    with session(as_roles["service"]) as cursor:
        cursor.execute(add)
        assert "permission denied" in refused(cursor, f"delete from {log}")
        assert "must be owner" in refused(cursor, f"drop table {log}")
        cursor.execute(correct)
        cursor.execute("update audit.corrections set undone_at = now(), undone_by = 'b'")
        assert "permission denied" in refused(cursor, "update audit.corrections set reason = 'x'")
        assert "permission denied" in refused(cursor, "delete from audit.corrections")
    with session(as_roles["reader"]) as cursor:
        cursor.execute("set default_transaction_read_only = off")
        assert "permission denied" in refused(cursor, add)
        assert "permission denied" in refused(cursor, correct)


def test_a_restored_database_is_closed_again(opened: Any, shared_warehouse: Warehouse) -> None:
    settings, as_roles = opened
    name = shared_warehouse.url.database
    with shared_warehouse.connect() as c, c.cursor() as cursor:
        cursor.execute(f"grant temporary on database {name} to public")
        cursor.execute(f"alter role {name}_reader in database {name} reset all")
        cursor.execute(f"revoke select on raw.airports from {name}_reader")
        cursor.execute(f"grant select on audit.api_keys to {name}_reader")
    ensure(shared_warehouse, settings)
    with session(as_roles["reader"]) as cursor:
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        cursor.execute("select count(*) from raw.airports")
        cursor.execute("set default_transaction_read_only = off")
        assert "permission denied" in refused(cursor, "create temporary table mine (n integer)")
        assert "permission denied" in refused(cursor, "select * from audit.api_keys")


def test_roles_are_of_one_database(
    opened: Any, shared_warehouse: Warehouse, warehouse: Warehouse
) -> None:
    settings, as_roles = opened
    as_other = as_roles["reader"].url.set(database=warehouse.url.database)
    with session(Warehouse(as_other, True)) as cursor:
        assert "permission denied" in refused(cursor, "select * from raw.airports")
    # Dagster's, which the service's metrics are read from.
    grant_reading(shared_warehouse, settings.dagster_database, as_roles["service"].url.username)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as one:
        one.run(f"create role common login createdb password '{PASSWORD}'")
        one.run(f"create role maker login createdb createrole password '{PASSWORD}'")
        yield one


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each user's SKYOPS_HOME is a folder in it."""
    return tmp_path_factory.mktemp("homes")


@pytest.mark.parametrize("user", ["owner", "maker"])
def test_on_another_server_roles_have_passwords_that_only_the_home_holds(
    server: Server, homes: Path, user: str
) -> None:
    settings, warehouse = outside(server, homes / user, user)
    found, why = connected(warehouse, settings, READER)
    assert why is None
    file = homes / user / f"of_{user}_reader.password"
    assert (file.stat().st_mode & 0o777, file.read_text().strip()) == (0o600, found.url.password)
    with session(found) as cursor:
        cursor.execute("select session_user, count(*) from raw.airports")
        assert cursor.fetchone()[0] == f"of_{user}_reader"
        cursor.execute("set session characteristics as transaction read write")
        for statement in MAY_NOT:
            if "lo_from" in statement and user != "owner":
                continue  # A function of the server: only its superuser closes it.
            refused(cursor, statement.replace("{owner}", user))
        # A role may give itself another password, and lock others out no longer than until now.
        cursor.execute("alter role current_user password 'other'")
    assert connected(warehouse, settings, READER) == (found, None)


def test_where_roles_cannot_be_made_the_old_way_stays_and_is_said(
    server: Server, tmp_path: Path
) -> None:
    settings, warehouse = outside(server, tmp_path, "common")
    assert connected(warehouse, settings, READER) == (
        warehouse,
        "user 'common' may not create roles (alter role ... createrole). Correct that, or set "
        "SKYOPS_READER_DATABASE_URL; until then user 'common' is used, who may write.",
    )
    assert not list(tmp_path.glob("*.password"))
    # Somebody who may makes one; SkyOps gives it what it reads.
    server.run(f"create role analyst login password '{PASSWORD}'")
    settings, warehouse = outside(
        server, tmp_path, "common",
        reader_database_url=server.address("analyst", "of_common"),
    )  # fmt: skip
    found, why = connected(warehouse, settings, READER)
    assert (found.url.username, why) == ("analyst", None)
    with session(found) as cursor:
        cursor.execute("select count(*) from raw.airports")
        assert "permission denied" in refused(cursor, "select * from audit.api_keys")
        assert "permission denied" in refused(cursor, "delete from raw.airports")


def test_another_home_does_not_take_a_role_from_the_one_that_made_it(
    server: Server, homes: Path, tmp_path: Path
) -> None:
    settings, warehouse = outside(server, homes / "maker", "maker")
    found, _ = connected(warehouse, settings, SERVICE)
    other, _ = outside(server, tmp_path, "maker")
    _, why = connected(warehouse, other, SERVICE)
    assert why is not None
    assert why.startswith(
        "role 'of_maker_service' was made from another SKYOPS_HOME, whose file "
        "of_maker_service.password is needed here"
    )
    with session(found) as cursor:
        cursor.execute("select key_id from audit.api_keys")


def test_through_a_pooler(server: Server, homes: Path) -> None:
    outside(server, homes / "owner", "owner")
    with pgbouncer(server, "transaction") as pooler:
        given = Settings(
            home=homes / "owner", database_url=pooler.address("owner", "of_owner"),
            dagster_database="dagster_owner", mlflow_database="mlflow_owner",
        )  # fmt: skip
        warehouse = open_warehouse(given)
        ensure(warehouse, given)
        # The pooler's list of users has another password.
        found, why = connected(warehouse, given, READER)
        assert found is warehouse
        assert why is not None
        assert "role 'of_owner_reader' cannot log in" in why
        server.run(f"alter role of_owner_reader password '{PASSWORD}'")
        set_by_hand = given.model_copy(
            update={"reader_database_url": SecretStr(pooler.address("of_owner_reader", "of_owner"))}
        )
        found, why = connected(warehouse, set_by_hand, READER)
        assert why is None
        assert read_only(found, "select count(*) from raw.airports")[1] == [(0,)]
        with pytest.raises(psycopg2.Error, match="permission denied"):
            read_only(found, "select * from audit.api_keys")


def test_names_fit(shared_warehouse: Warehouse, tmp_path: Path) -> None:
    long = Warehouse(shared_warehouse.url.set(database="d" * 63), True)
    role: Role
    for role in (READER, SERVICE):
        assert len(role.name(long, Settings(home=tmp_path))) <= 63
