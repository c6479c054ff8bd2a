"""Databases, migrations and external servers, and every way in which a server can be unusable,
each with a clear error in seconds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import open_warehouse, server_version
from skyops_assets.warehouse.migrate import MIGRATIONS, migrate
from tests.support.children import child, finish
from tests.support.databases import Databases, Query
from tests.support.servers import system_binaries

SECONDS = 10
"""The longest that an unusable server may keep a person waiting."""


def refusal(url: str, **options: Any) -> str:
    """The error of opening a warehouse, which must come in seconds and be one sentence."""
    began = time.monotonic()
    with pytest.raises(SkyOpsError) as caught:
        open_warehouse(Settings(database_url=SecretStr(url), **options))
    assert time.monotonic() - began < SECONDS
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Migrations


def test_migrating_twice_changes_nothing(databases: Databases, query: Query) -> None:
    fresh = databases.new(is_migrated=False)
    applied = migrate(fresh)
    assert applied == sorted(applied)
    assert applied[0] == "0001_base.sql"
    assert migrate(fresh) == []
    names = query(fresh, "select name from public.skyops_migrations order by 1")
    assert [name for (name,) in names] == applied
    databases.drop(fresh)


def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(
    databases: Databases, query: Query, tmp_path: Path
) -> None:
    fresh = databases.new(is_migrated=False)
    (tmp_path / "0001_good.sql").write_text("create table one (n int);")
    (tmp_path / "0002_bad.sql").write_text("create table two (n int); select 1 / 0;")
    (tmp_path / "notes.sql").write_text("this is no migration")
    with pytest.raises(Exception, match="division by zero"):
        migrate(fresh, tmp_path)
    assert query(fresh, "select to_regclass('one')::text, to_regclass('two')::text") == [
        ("one", None)
    ]
    (tmp_path / "0002_bad.sql").write_text("create table two (n int);")
    assert migrate(fresh, tmp_path) == ["0002_bad.sql"]
    databases.drop(fresh)


def test_processes_that_migrate_at_once_apply_each_file_once(
    databases: Databases, home: Path
) -> None:
    fresh = databases.new(is_migrated=False)
    code = "import sys; sys.stdin.readline(); print(len(migrate(open_warehouse(settings))))"
    children = [child(code, home, SKYOPS_WAREHOUSE_URL=fresh.libpq()) for _ in range(3)]
    for process in children:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    # They may take turns between two files.
    assert sum(int(finish(process)) for process in children) == len(list(MIGRATIONS.glob("0*.sql")))
    databases.drop(fresh)


# Databases and servers that cannot be used


def test_missing_databases_are_made_and_making_them_again_is_harmless(
    databases: Databases, query: Query
) -> None:
    url = databases.server.url.set(database="made_here").render_as_string(hide_password=False)
    settings = Settings(
        database_url=SecretStr(url), dagster_database="made_d", mlflow_database="made_m"
    )
    for _ in range(2):
        opened = open_warehouse(settings)
        assert opened.is_embedded is False
        assert query(opened, "select current_database()") == [("made_here",)]
    names = "select datname from pg_database where datname like 'made%%' order by 1"
    assert query(databases.server, names) == [("made_d",), ("made_here",), ("made_m",)]


def test_two_processes_that_make_the_databases_at_once_both_succeed(databases: Databases) -> None:
    url = databases.server.url.set(database="raced").render_as_string(hide_password=False)
    settings = Settings(database_url=SecretStr(url), dagster_database="raced_d",
                        mlflow_database="raced_m")  # fmt: skip
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def opens() -> None:
        start.wait()
        try:
            open_warehouse(settings)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=opens) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_server_that_is_too_old_is_refused_with_its_version(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyops_assets.warehouse.connection.OLDEST_SERVER", 990000)
    url = databases.server.libpq()
    major = server_version(databases.server).split(".")[0]
    assert f"runs Postgres {major}; SkyOps needs 99 or newer." in refusal(url)


def test_an_unreachable_server_says_so() -> None:
    said = refusal("postgresql://u:secret@127.0.0.1:1/db")
    assert "cannot be reached" in said
    assert "Is the server running" in said
    assert "secret" not in said


def test_a_host_that_does_not_exist_says_so() -> None:
    assert "unknown host name" in refusal("postgresql://u:p@host.invalid/db")


def test_an_unknown_option_in_the_address_says_so() -> None:
    assert "option that cannot be used" in refusal("postgresql://u:p@127.0.0.1/db?colour=red")


@pytest.fixture
def listener() -> Iterator[Callable[[bytes | None], int]]:
    """A TCP server that is no Postgres: it answers with the bytes given, or never (None)."""
    sockets: list[socket.socket] = []

    def listen(answer: bytes | None) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                sockets.append(connection)
                if answer is not None:
                    connection.recv(8)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return int(listening.getsockname()[1])

    yield listen
    for one in sockets:
        one.close()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", None], ids=str
)
def test_a_server_that_is_no_postgres_is_an_error_in_seconds(
    listener: Callable[[bytes | None], int], answer: bytes | None
) -> None:
    port = listener(answer)
    url = f"postgresql://u:secret@127.0.0.1:{port}/db"
    assert "cannot be reached" in refusal(url, connect_timeout_s=2)


# A server of the system's own, with passwords, over TCP


PASSWORD = "p@ss w/ord:%#?+é'\"\\"


@pytest.fixture(scope="module")
def external() -> Iterator[Callable[..., str]]:
    """A Postgres with password logins on a free TCP port; gives the address for user, password
    and database."""
    from sqlalchemy.engine import URL

    binaries = system_binaries()
    if binaries is None:
        pytest.skip("no Postgres 15 or later is installed to serve as an external server")
    user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="sk-"))
    if os.geteuid() == 0:
        import pwd

        entry = pwd.getpwnam("nobody")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)

    try:
        run(str(binaries / "initdb"), "-D", str(data), "-U", "owner", "-E", "UTF8", "--no-sync",
            "--locale=C", "--auth=scram-sha-256", f"--pwfile={secret}")  # fmt: skip
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o",
            options, "start")  # fmt: skip

        def address(name: str = "owner", password: str = PASSWORD, database: str = "skyops") -> str:
            url = URL.create("postgresql", name, password, "127.0.0.1", port, database)
            return url.render_as_string(hide_password=False)

        yield address
    finally:
        if (data / "postmaster.pid").exists():
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.xdist_group("external")
def test_an_external_server_serves_every_way_in_with_the_hardest_password(
    external: Callable[..., str], query: Query
) -> None:
    opened = open_warehouse(Settings(database_url=SecretStr(external())))
    migrate(opened)
    assert opened.is_embedded is False
    assert read_arrow(opened, "select 1::int4 as n").to_pylist() == [{"n": 1}]
    assert query(opened, "select count(*) from raw.opensky_states") == [(0,)]
    import sqlalchemy

    engine = sqlalchemy.create_engine(opened.sqlalchemy("dagster"))
    with engine.connect() as connection:
        database = connection.execute(sqlalchemy.text("select current_database()")).scalar()
    engine.dispose()
    assert database == "dagster"
    assert opened.parts["password"] == PASSWORD
    assert PASSWORD not in opened.safe_url


@pytest.mark.xdist_group("external")
@pytest.mark.parametrize(("name", "password"), [("owner", "wrong-one"), ("stranger", "x"),
                                                ("owner", "")])  # fmt: skip
def test_a_wrong_login_says_which_user(
    external: Callable[..., str], name: str, password: str
) -> None:
    said = refusal(external(name, password))
    assert f"user {name!r} or its password is wrong" in said
    assert "wrong-one" not in said


@pytest.mark.xdist_group("external")
def test_a_user_who_may_not_create_databases_is_told_what_to_do(
    external: Callable[..., str], query: Query
) -> None:
    owner = open_warehouse(Settings(database_url=SecretStr(external())))
    query(owner, "create user guest password 'guest'")
    said = refusal(external("guest", "guest", "guests_own"))
    assert "'guests_own' does not exist" in said
    assert "grant CREATEDB" in said
