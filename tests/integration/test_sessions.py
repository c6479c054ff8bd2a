"""What every session has set, whoever connects: a shell's and a role's own settings change nothing,
behind a pooler neither."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.instance.storage import PooledPostgresStorage
from skyops_assets.settings import Settings
from skyops_assets.warehouse import bulk, sessions
from skyops_assets.warehouse.connection import Warehouse, only_one, open_warehouse, parse_url
from skyops_assets.warehouse.migrate import migrate
from skyops_assets.warehouse.query import read_only
from tests.support.databases import Query
from tests.support.dbt import dbt_environment, run_dbt
from tests.support.servers import Authority, Server, pgbouncer, postgres

pytestmark = pytest.mark.xdist_group("servers")

HOSTILE = (
    "alter role {} set client_encoding = 'latin1'",
    "alter role {} set timezone = 'Asia/Kathmandu'",
    "alter role {} set datestyle = 'german, dmy'",
    "alter role {} set intervalstyle = 'iso_8601'",
    "alter role {} set search_path = nowhere",
    "alter role {} set extra_float_digits = -10",
    "alter role {} set standard_conforming_strings = off",
    "alter role {} set default_transaction_isolation = 'serializable'",
)
SHELL = {
    "PGCLIENTENCODING": "LATIN1", "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German",
    "PGHOST": "nowhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGUSER": "nobody",
    "PGDATABASE": "none", "PGSERVICE": "none", "PGTARGETSESSIONATTRS": "read-only",
}  # fmt: skip
ASK = """
    import json, subprocess, sys
    import sqlalchemy
    from skyops_assets.settings import load_settings
    import pyarrow as pa
    from skyops_assets.warehouse.bulk import read_arrow, scalar, transaction
    from skyops_assets.warehouse.connection import open_warehouse
    from skyops_assets.warehouse.sessions import PINNED
    opened = open_warehouse(load_settings())
    names = ", ".join(f"'{name}', current_setting('{name}')" for name in PINNED)
    names += ", 'text', 'Å1 é €', 'octets', octet_length('Å1')"
    query = f"select json_build_object({names})::text"
    with opened.connect() as connection, connection.cursor() as cursor:
        cursor.execute(query)
        said = {"psycopg2": cursor.fetchone()[0]}
    said["adbc"] = read_arrow(opened, query).to_pylist()[0]["json_build_object"]
    with transaction(opened) as cursor:
        rows = pa.table({"callsign": ["Å1"]})
        cursor.adbc_ingest("stored", rows, mode="create", temporary=True)
        assert scalar(cursor, "select octet_length(callsign) from stored") == 3
        cursor.execute("drop table stored")
    for name in ("dagster", "mlflow"):
        engine = sqlalchemy.create_engine(opened.sqlalchemy(name))
        with engine.connect() as connection:
            said[name] = connection.execute(sqlalchemy.text(query)).scalar()
    child = "import psycopg2, sys; c = psycopg2.connect(sys.argv[1]).cursor(); "
    child += "c.execute(sys.argv[2]); print(c.fetchone()[0])"
    command = [sys.executable, "-X", "utf8", "-c", child, opened.libpq(), query]
    said["child"] = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    print(json.dumps({way: json.loads(text) for way, text in said.items()}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of another encoding, whose owner has everything set in another way."""
    with postgres("-E", "LATIN1", "--locale=C") as server:
        server.run(*(statement.format("owner") for statement in HOSTILE))
        yield server


def opened(server: Server, user: str = "owner", database: str = "skyops") -> Warehouse:
    return open_warehouse(Settings(database_url=SecretStr(server.address(user, database))))


def python(code: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_as_pinned(said: str, ways: int) -> None:
    found = json.loads(said)
    assert len(found) == ways
    for way, settings in found.items():
        assert {name: settings[name.lower()] for name in sessions.PINNED} == sessions.PINNED, way
        assert (settings["text"], settings["octets"]) == ("Å1 é €", 3), way


def test_a_shell_and_a_role_with_everything_set_otherwise_change_no_session(
    server: Server,
) -> None:
    is_as_pinned(python(ASK, SKYOPS_DATABASE_URL=server.address(), **SHELL), 5)


def test_a_shell_does_not_lead_the_embedded_server_astray(home: Path) -> None:
    login = {"PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require"}
    is_as_pinned(python(ASK, SKYOPS_HOME=str(home), **SHELL, **login), 5)


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_keeps_what_is_pinned(server: Server, mode: str) -> None:
    with pgbouncer(server, mode) as pooler:
        is_as_pinned(python(ASK, SKYOPS_DATABASE_URL=pooler.address(), **SHELL), 5)


def test_sessions_that_a_pooler_has_from_before_are_ended(server: Server) -> None:
    opened(server)
    server.run("alter role owner in database skyops set search_path = nowhere")
    with pgbouncer(server, "transaction") as pooler:
        pooler.run("select 1", database="skyops")
        found = opened(pooler)
        assert read_only(found, "show search_path")[1] == [("public",)]


def test_what_a_pooler_remembers_from_before_is_told(server: Server) -> None:
    opened(server)
    server.run("alter role owner in database skyops set standard_conforming_strings = off")
    with pgbouncer(server, "transaction") as pooler:
        pooler.run("select 1", database="skyops")
        with pytest.raises(SkyOpsError, match=r"standard_conforming_strings = off.*RECONNECT"):
            opened(pooler)
        pooler.run("reconnect", database="pgbouncer")
        opened(pooler)


def test_databases_can_be_made_through_a_pooler(server: Server) -> None:
    with pgbouncer(server, "transaction", "server_login_retry = 2") as pooler:
        made = Settings(
            database_url=SecretStr(pooler.address(database="p_skyops")),
            dagster_database="p_dagster",
            mlflow_database="p_mlflow",
        )
        assert read_only(open_warehouse(made), "show search_path")[1] == [("public",)]


def test_an_address_takes_from_the_environment_what_it_lacks(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(server)
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("PGUSER", "owner")
    monkeypatch.setenv("PGPASSWORD", "not-a-secret")
    found = open_warehouse(Settings(database_url=SecretStr("postgresql:///skyops")))
    assert "PGHOST" not in os.environ
    assert found.parts == {
        "host": "127.0.0.1", "port": str(server.port), "user": "owner",
        "password": "not-a-secret", "dbname": "skyops",
    }  # fmt: skip


def test_options_that_undo_what_is_pinned_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere -c work_mem=8MB")
    with pytest.raises(SkyOpsError, match=r"have search_path = nowhere, .* out of PGOPTIONS"):
        opened(server)
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=8MB -c timezone=Asia/Tokyo")
    assert read_only(opened(server), "show work_mem")[1] == [("8MB",)]
    assert read_only(opened(server), "show timezone")[1] == [("UTC",)]


def test_options_through_a_pooler_are_told_and_may_be_ignored_by_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=8MB")
    with (
        pgbouncer(server, "session") as pooler,
        pytest.raises(SkyOpsError, match="ignore_startup_parameters = options"),
    ):
        opened(pooler)
    with pgbouncer(server, "session", "ignore_startup_parameters = options") as pooler:
        opened(pooler)


def test_tables_of_dagster_in_a_schema_of_their_own_are_found_again(server: Server) -> None:
    server.run("create role elsewhere login createdb password 'not-a-secret'",
               "alter role elsewhere set search_path = own")  # fmt: skip
    for name in ("e_skyops", "e_dagster", "e_mlflow"):
        server.run(f"create database {name} owner elsewhere template template0 encoding 'UTF8'")
    server.run("create schema own", "create table own.alembic_version (version_num text)",
               database="e_dagster", user="elsewhere")  # fmt: skip
    found = open_warehouse(
        Settings(
            database_url=SecretStr(server.address("elsewhere", "e_skyops")),
            dagster_database="e_dagster",
            mlflow_database="e_mlflow",
        )
    )
    paths = []
    for name in ("e_skyops", "e_dagster", "e_mlflow"):
        with found.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("show search_path")
            paths += cursor.fetchone() or []
    assert paths == ["public", "own", "public"]


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_lock_holds_through_a_pooler(server: Server, mode: str) -> None:
    held = "select count(*) from pg_locks where locktype = 'advisory'"
    with pgbouncer(server, mode) as pooler:
        found = opened(pooler)
        with only_one(found, "skyops.test", lambda: None):
            # Others use what sessions are free meanwhile.
            for _ in range(3):
                assert read_only(found, held)[1] == [(1,)]
        assert server.run(held) == [(0,)]


def test_a_lock_keeps_no_old_rows(shared_warehouse: Warehouse, query: Query) -> None:
    with only_one(shared_warehouse, "skyops.test", lambda: None):
        assert query(
            shared_warehouse,
            "select backend_xmin, backend_xid from pg_stat_activity "
            "where state = 'idle in transaction' and datname = current_database()",
        ) == [(None, None)]


@pytest.mark.parametrize("mode", [None, "session", "transaction"])
def test_a_query_changes_nothing_through_a_pooler_either(server: Server, mode: str | None) -> None:
    import psycopg2

    def refused(through: Server) -> None:
        found = opened(through)
        migrate(found)
        for query in (
            "drop table raw.airports",
            "commit; drop table raw.airports",
            "select 1; rollback; drop table raw.airports",
            "do $$ begin commit; drop table raw.airports; end $$",
        ):
            with pytest.raises((SkyOpsError, psycopg2.Error)) as caught:
                read_only(found, query)
            assert (
                "pooler" in str(caught.value)
                or "read-only" in str(caught.value)
                or ("invalid transaction termination" in str(caught.value))
            )
        assert read_only(found, "select count(*) from raw.airports")[1] == [(0,)]
        # No other session has become one that may only read.
        for _ in range(3):
            migrate(found)
            with found.connect() as connection, connection.cursor() as cursor:
                cursor.execute("create temporary table written (n int) on commit drop")

    if mode is None:
        refused(server)
    else:
        with pgbouncer(server, mode) as pooler:
            refused(pooler)


ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"


def by_psycopg2(one: Warehouse) -> object:
    with one.connect() as connection, connection.cursor() as cursor:
        cursor.execute(ENCRYPTED)
        return cursor.fetchone()


def by_adbc(one: Warehouse) -> object:
    with bulk.transaction(one) as cursor:
        cursor.execute(ENCRYPTED)
        return cursor.fetchone()


def by_psycopg(one: Warehouse) -> object:
    """As the service connects."""
    with psycopg.connect(one.libpq()) as connection:
        return connection.execute(ENCRYPTED).fetchone()


def by_mlflow(one: Warehouse) -> object:
    """As MLflow connects, by SQLAlchemy."""
    engine = sa.create_engine(one.sqlalchemy())
    try:
        with engine.connect() as connection:
            return tuple(connection.execute(sa.text(ENCRYPTED)).one())
    finally:
        engine.dispose()


def by_dagster(one: Warehouse) -> object:
    storage = PooledPostgresStorage(one.sqlalchemy(), should_autocreate_tables=False)
    try:
        # Its own `connect` tries for seconds, and then does not say why.
        with storage.run_storage._engine.connect() as connection:  # type: ignore[attr-defined]
            return tuple(connection.execute(sa.text(ENCRYPTED)).one())
    finally:
        storage.event_log_storage.dispose()


def by_dbt(one: Warehouse, folder: Path) -> tuple[int, str]:
    variables = dbt_environment(folder, folder, one)
    return run_dbt(folder / "log", variables, "debug", "--connection", ours=False)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl makes certificates here")
def test_what_an_address_asks_of_tls_holds_for_all_who_connect(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    with postgres(certificate=ours.certificate("server")) as server:

        def seen(authority: Authority, host: str = "127.0.0.1") -> Warehouse:
            address = server.address(database="postgres").replace("127.0.0.1", host)
            asked = f"{address}?sslmode=verify-full&sslrootcert={authority.path}"
            return Warehouse(parse_url(asked), False)

        right, wrong, other_name = seen(ours), seen(other), seen(ours, "localhost")
        for connect in (by_psycopg2, by_adbc, by_psycopg, by_mlflow, by_dagster):
            assert connect(right) == (True,), connect
            with pytest.raises(Exception, match="certificate verify failed"):
                connect(wrong)
            with pytest.raises(Exception, match='does not match host name "localhost"'):
                connect(other_name)
        assert by_dbt(right, tmp_path)[0] == 0
        code, said = by_dbt(wrong, tmp_path)
        assert code != 0 and "certificate verify failed" in said, said
        # Databases are made, and sessions set, over it as well.
        opened_so = open_warehouse(
            Settings(database_url=SecretStr(right.libpq("skyops")), home=tmp_path)
        )
        assert read_only(opened_so, ENCRYPTED)[1] == [(True,)]


@pytest.mark.mirror
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_demo_runs_through_a_pooler(
    request: pytest.FixtureRequest, server: Server, home: Path, mode: str
) -> None:
    """Loads, transforms, MLflow and Dagster, each with its own way of connecting; minutes."""
    if not request.config.getoption("--long"):
        pytest.skip("minutes; `make torture` runs it")
    with pgbouncer(server, mode, "server_login_retry = 2") as pooler:
        own = {"SKYOPS_DAGSTER_DATABASE": f"d_{mode}", "SKYOPS_MLFLOW_DATABASE": f"m_{mode}"}
        done = subprocess.run(
            [sys.executable, "-m", "skyops_assets.cli", "demo"],
            env={
                **os.environ, **SHELL, **own, "SKYOPS_HOME": str(home),
                "SKYOPS_DATABASE_URL": pooler.address(database=f"w_{mode}"),
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    rows = server.run("select count(*) from metrics.fct_arrivals", database=f"w_{mode}")
    assert rows[0][0] > 0
