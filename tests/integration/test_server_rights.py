"""What a server does not allow is told when it is first met, with the statement that mends it; what
fails within work is one sentence too: a full disk, no connection left, a server that ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import health
from skyops_assets.settings import Settings
from skyops_assets.warehouse import bulk, trouble
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.disk import data_folder
from skyops_assets.warehouse.migrate import migrate
from skyops_assets.warehouse.scratch import scratch
from tests.support.servers import PASSWORD, Server, postgres, small_disk

pytestmark = pytest.mark.xdist_group("servers")
NAMES = ("skyops", "dagster", "mlflow")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that knows SQL_ASCII only, as one that was made without a locale."""
    with postgres("-E", "SQL_ASCII", "--locale=C") as server:
        yield server


@pytest.fixture
def analyst(server: Server) -> Iterator[str]:
    """A role without any right, and no databases yet."""
    server.run(f"create role analyst login password '{PASSWORD}'")
    yield "analyst"
    for name in NAMES:
        server.run(f"drop database if exists {name} with (force)")
    server.run("drop role analyst")


def opened(server: Server, user: str = "owner") -> Warehouse:
    return open_warehouse(Settings(database_url=SecretStr(server.address(user))))


def refusal(server: Server, user: str = "analyst") -> str:
    with pytest.raises(SkyOpsError) as caught:
        opened(server, user)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_databases_are_utf8_on_a_server_of_another_encoding(server: Server, analyst: str) -> None:
    found = opened(server)
    made = "select datname from pg_database where pg_encoding_to_char(encoding) = 'UTF8' order by 1"
    assert [name for (name,) in server.run(made)] == sorted(NAMES)
    with scratch(found, "for_a_while") as other, other.connect() as c, c.cursor() as cursor:
        cursor.execute("select pg_encoding_to_char(encoding) from pg_database where datname = %s",
                       ("for_a_while",))  # fmt: skip
        assert cursor.fetchone() == ("UTF8",)


@pytest.mark.parametrize("name", NAMES)
def test_a_database_of_another_encoding_is_refused(server: Server, analyst: str, name: str) -> None:
    server.run(f"create database {name}")
    said = refusal(server, "owner")
    assert f"Database '{name}' on postgresql://owner@" in said
    assert "has the encoding SQL_ASCII" in said
    server.run(f"drop database {name}", said.rpartition("into: ")[2])
    opened(server)


def test_each_missing_right_is_told_with_the_grant_that_mends_it(
    server: Server, analyst: str
) -> None:
    said = refusal(server)
    assert "user 'analyst' may not create it" in said
    server.run(said.rpartition("or create it: ")[2].replace("owner analyst", ""))
    for name in NAMES[1:]:
        server.run(f"create database {name} template template0 encoding 'UTF8'")
    for name in NAMES:
        server.run(f"revoke connect on database {name} from public")
    # The owner has used the warehouse before: there are tables of his.
    migrate(opened(server))
    told = []
    for _ in range(20):
        try:
            found = opened(server, analyst)
            break
        except SkyOpsError as error:
            said = str(error)
            told.append(said)
            (name,) = set(re.findall("database [\"']?(skyops|dagster|mlflow)[\"']?", said))
            assert "'analyst'" in said and server.address("analyst").split("@")[1][:14] in said
            server.run(said.rpartition("run: ")[2].rpartition("run there: ")[2], database=name)
    migrate(found)
    for what in ("does not let user 'analyst' into database 'skyops'", "may not create schemas in",
                 "may not create tables in schema raw in", "may not create tables in schema public",
                 "does not own table"):  # fmt: skip
        assert any(what in said for said in told), what


def test_a_database_without_its_schema_public_is_told(server: Server, analyst: str) -> None:
    opened(server)
    server.run("drop schema public", database="dagster")
    said = refusal(server, "owner")
    assert "finds no schema public for tables in database 'dagster'" in said
    server.run(said.rpartition("run there: ")[2], database="dagster")
    opened(server)


@pytest.mark.parametrize(
    "statement",
    [
        "alter role owner set",
        "alter database mlflow set",
        "alter role owner in database mlflow set",
    ],
)
def test_a_role_or_database_that_may_only_be_read_is_told(
    server: Server, analyst: str, statement: str
) -> None:
    opened(server)
    server.run(f"{statement} default_transaction_read_only = on")
    said = refusal(server, "owner")
    assert "lets user owner only read database" in said
    writer = "set default_transaction_read_only = off"
    server.run(writer, said.rpartition("To let SkyOps write: ")[2])
    opened(server)


def test_a_standby_is_told() -> None:
    with postgres("-E", "UTF8", "--locale=C", is_standby=True) as standby:
        said = refusal(standby, "owner")
    assert "is a standby" in said and "Name the primary" in said


def test_no_connection_left_is_told(server: Server, analyst: str) -> None:
    server.run("alter role analyst connection limit 0")
    said = refusal(server)
    assert "has no connection left for user 'analyst'" in said


def test_a_server_of_this_machine_tells_where_its_data_lies(
    server: Server, analyst: str, home: Path
) -> None:
    found = opened(server)
    if os.access(server.folder / "data", os.X_OK):
        assert data_folder(found, home) == server.folder / "data"
    server.run("alter role analyst createdb")
    for name in NAMES:
        server.run(f"alter database {name} owner to analyst")
    assert data_folder(opened(server, "analyst"), home) is None


def test_trouble_within_work_is_one_sentence(server: Server, analyst: str) -> None:
    found = opened(server)
    for statement, said in (
        ("set role analyst; select * from pg_authid", "may not do this (permission denied"),
        ("set transaction read only; create table t ()", "is now read-only (cannot execute"),
    ):
        with pytest.raises(psycopg2.Error) as caught, found.connect() as c, c.cursor() as cursor:
            cursor.execute(statement)
        assert said in str(trouble.explain(caught.value))
    with pytest.raises(psycopg2.Error) as caught, found.connect() as c, c.cursor() as cursor:
        cursor.execute("select nonsense")
    assert trouble.explain(caught.value) is None


def test_a_full_disk_is_one_sentence_in_seconds(home: Path) -> None:
    import pyarrow as pa
    import sqlalchemy

    with small_disk(80) as disk, postgres("-E", "UTF8", "--locale=C", data_in=disk) as server:
        settings = Settings(home=home, database_url=SecretStr(server.address()), min_disk_gb=0)
        found = open_warehouse(settings)
        migrate(found)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - 2_000_000))
        state, says = health.probe_disk(settings, found)
        assert state is health.State.BROKEN and str(disk) in says
        full = "The disk of the warehouse's server is full (could not extend file"
        rows = pa.table({"text": ["x" * 1000] * 20_000})
        with (
            pytest.raises(Exception, match="No space") as caught,
            bulk.transaction(found) as cursor,
        ):
            cursor.adbc_ingest("filling", rows, mode="create")
        assert full in str(trouble.explain(caught.value))
        many = "create table filling as select repeat('x', 1000) from generate_series(1, 20000)"
        with pytest.raises(psycopg2.Error) as caught, found.connect() as c, c.cursor() as asked:
            asked.execute(many)
        assert full in str(trouble.explain(caught.value))
        engine = sqlalchemy.create_engine(found.sqlalchemy("dagster"))
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught, engine.begin() as connection:
            connection.execute(sqlalchemy.text(many))
        engine.dispose()
        assert full in str(trouble.explain(caught.value))
        # As dbt and Dagster hand it on.
        assert full in str(trouble.explain_text(f"Database Error in model x\n  {caught.value}"))
        # A person who loads a file of 20 MB.
        day = home / "day.csv"
        day.write_text(
            "time,icao24,lat,lon,callsign\n"
            + "".join(f"{1633608000 + n},{n % 999:06x},48.8,2.3,A\n" for n in range(100_000))
        )
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "skyops_assets.cli", "load", str(day)],
            env={**os.environ, "SKYOPS_HOME": str(home), "SKYOPS_DATABASE_URL": server.address()},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert full in done.stderr and "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
        assert time.monotonic() - began < 60
