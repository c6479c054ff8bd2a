"""The embedded server's life: who starts and stops it, who gets in, kills, and starts that fail."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations.keeping import claimed
from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.warehouse import embedded
from skyops_assets.warehouse.connection import open_warehouse, server_version
from tests.support.children import as_user, child, finish
from tests.support.databases import stop_server
from tests.support.servers import free_port, small_disk

SECONDS = 10
"""The longest that a failing start may keep a person waiting."""

OPEN = "migrate(open_warehouse(settings))\n"
HOLD = OPEN + "print('open', flush=True)\nimport sys\nsys.stdin.readline()\n"


def users(home: Path) -> int:
    """How many processes hold the lock of those that use the server."""
    inode = (home / "postgres.users").stat().st_ino
    locks = Path("/proc/locks").read_text().splitlines()
    return sum(1 for line in locks if "FLOCK" in line and f":{inode} " in line)


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def test_several_processes_share_one_server_and_the_last_one_stops_it(home: Path) -> None:
    first, second = child(HOLD, home), child(HOLD, home)
    for process in (first, second):
        assert process.stdout
        assert process.stdout.readline() == "open\n", process.communicate()
    assert users(home) == 2
    finish(first)
    assert users(home) == 1
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
    assert users(home) == 1
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
    launch, killed = embedded._launch, []

    def deadly(data_dir: Path) -> subprocess.Popen[bytes]:
        process = launch(data_dir)
        if not killed:
            killed.append(process.pid)
            process.kill()
        return process

    monkeypatch.setattr(embedded, "_launch", deadly)
    assert server_version(open_warehouse(Settings(home=home)))
    assert killed not in ([], [server_pid(home)])


def test_a_fork_that_ends_leaves_the_server_to_its_parent(home: Path) -> None:
    code = OPEN + (
        "import os\n"
        "forked = os.fork()\n"
        "if forked == 0:\n"
        "    raise SystemExit\n"  # With all that is done at the end of a process.
        "os.waitpid(forked, 0)\n"
        "with open_warehouse(settings).connect() as c, c.cursor() as cursor:\n"
        "    cursor.execute('select 1'); print(cursor.fetchone())\n"
    )
    assert finish(child(code, home)) == "(1,)\n"
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_a_server_that_nobody_uses_any_more_can_be_stopped(home: Path) -> None:
    killed = child(HOLD, home)
    assert killed.stdout
    killed.stdout.readline()
    embedded.stop_if_unused(home / "postgres")
    assert server_pid(home)
    killed.kill()
    killed.communicate()
    assert server_pid(home)
    embedded.stop_if_unused(home / "postgres")
    assert not (home / "postgres" / "postmaster.pid").exists()


@contextmanager
def somebody(*argv: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, of the user whose server it might be taken for."""
    user = embedded.SERVER_UID if os.geteuid() == 0 else None
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
    home.chmod(0o755)
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


@pytest.mark.parametrize("name", ["d" * 100, "my 'own' \"home\" + 100 %", "hôtel"])
def test_any_path_is_a_home(home: Path, name: str) -> None:
    """Where it is none for a socket, that lies in a folder of the user's own, and goes with it."""
    folder = home / name
    code = OPEN + "print(open_warehouse(settings).parts['host'])\n" + HOLD.removeprefix(OPEN)
    opened = child(code, folder)
    assert opened.stdout
    elsewhere = Path(opened.stdout.readline().strip())
    assert opened.stdout.readline() == "open\n"
    assert home not in elsewhere.parents
    assert elsewhere.stat().st_mode & 0o77 == 0
    finish(opened)
    assert not elsewhere.exists()


def test_a_folder_that_waits_for_the_socket_is_not_trusted(home: Path) -> None:
    """Another user could put up a server of theirs there, and read what we write to it."""
    folder = home / ("d" * 100)
    finish(child(OPEN, folder))
    elsewhere = embedded._socket_dir(folder.resolve() / "postgres")
    elsewhere.chmod(0o755)
    try:
        with pytest.raises(SkyOpsError, match=f"{elsewhere}, .* is not private"):
            open_warehouse(Settings(home=folder))
    finally:
        elsewhere.rmdir()


# Who may log in


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_nobody_but_the_owner_gets_in(home: Path) -> None:
    opened = child(HOLD, home)
    assert opened.stdout
    opened.stdout.readline()
    data = home / "postgres"
    # Not by the folder alone: with it open, the server itself refuses.
    for path in (home, data):
        path.chmod(0o755)
    for role in ("postgres", "nobody"):

        def log_in(role: str = role) -> None:
            psycopg2.connect(host=str(data), user=role, dbname="postgres")

        assert "Peer authentication failed" in as_user(embedded._nobody(), log_in)
    data.chmod(0o700)
    finish(opened)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by Postgres")
def test_as_root_no_folder_is_opened_and_no_account_made(home: Path) -> None:
    """Of the data and of the programs, as with a checkout in /root."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    (closed / "install").symlink_to(embedded.program("postgres").parent)
    programs = f"embedded._program = Path({str(closed / 'install')!r}).joinpath\n"
    imports = "from pathlib import Path\nfrom skyops_assets.warehouse import embedded\n"
    accounts = Path("/etc/passwd").read_text()
    opened = child(imports + programs + OPEN, closed / "home", PATH="/usr/bin:/bin")
    _, said = opened.communicate(timeout=120)
    assert opened.returncode == 0
    assert "Postgres does not run as root: its server runs as user" in said
    assert (closed.stat().st_mode & 0o777, Path("/etc/passwd").read_text()) == (0o700, accounts)
    assert (closed / "home" / "postgres").stat().st_uid == embedded.SERVER_UID
    # Told once, where it is done.
    again = child(imports + programs + OPEN, closed / "home")
    assert again.communicate(timeout=120)[1] == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_root_leaves_a_users_home_to_the_user(home: Path) -> None:
    """As `sudo skyops status` does."""
    if closed := embedded._closed_folder(embedded.program("postgres")):
        pytest.skip(f"an ordinary user may not pass {closed} here")
    home.chmod(0o755)
    theirs = home / "theirs"
    theirs.mkdir()
    nobody = embedded._nobody()
    os.chown(theirs, nobody, nobody)

    def opened() -> str:
        version = server_version(open_warehouse(Settings(home=theirs)))
        embedded._leave(theirs)
        return version

    for uid in (nobody, 0, nobody):
        assert as_user(uid, opened).startswith("18.")
        assert not (theirs / "postgres" / "postmaster.pid").exists()
    assert {path.stat().st_uid for path in theirs.rglob("*")} == {nobody}


# By TCP


def test_on_a_port_the_reader_gets_in_by_password_and_nobody_else(home: Path) -> None:
    """Of a home of before, and beside a process that was not told of the port."""
    finish(child("from skyops_assets.runtime import prepare; prepare(settings)", home))
    port = free_port()
    open_ = "from skyops_assets.runtime import prepare; prepare(settings)\n" + HOLD
    opened = child(open_, home, SKYOPS_POSTGRES_PORT=str(port))
    assert opened.stdout
    assert opened.stdout.readline() == "open\n", opened.communicate()
    file = home / "skyops_reader.password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text().strip()

    def ask(statement: str, user: str = "skyops_reader", password: str = password) -> Any:
        with (
            closing(psycopg2.connect(host="127.0.0.1", port=port, dbname="skyops", user=user,
                                     password=password)) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute(statement)
            return cursor.fetchall()

    assert ask("select count(*) from raw.opensky_states") == [(0,)]
    with pytest.raises(psycopg2.Error, match=r"permission denied|read-only"):
        ask("delete from raw.opensky_states returning 1")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask("select 1", password="wrong")
    # The superuser has no password, and neither has the service; nobody is trusted.
    with pytest.raises(psycopg2.OperationalError, match=r"pg_hba\.conf rejects"):
        ask("select 1", user="postgres")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask("select 1", user="skyops_service")
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    addresses = re.findall(rf"([0-9A-F]+):{port:04X} \S+ 0A", listening)
    assert addresses == ["0100007F"], "on the loopback interface alone"
    # And as the page says, but for the place and the number.
    [shown] = re.findall(
        r"```python\n((?:(?!```).)*create_engine.*?)```",
        (PROJECT_ROOT / "docs" / "connect.md").read_text(),
        re.DOTALL,
    )
    made = "select 'LFPG' as airport, timestamptz '2021-10-07 12:00+00' as hour_at"
    finish(child(
        "with open_warehouse(settings).connect() as c:\n"
        f'    c.cursor().execute("create table metrics.airport_hourly as {made}")\n',
        home,
    ))  # fmt: skip
    shown = shown.replace(".skyops/", f"{home}/").replace("5433", str(port))
    done = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=False
    )
    assert "LFPG" in done.stdout and "2021-10-07 12:00" in done.stdout, done.stderr
    # By the socket all goes on as without a port, and the server stays as it is.
    assert finish(child(OPEN + "print(open_warehouse(settings).url.query)", home)) == (
        f"immutabledict({{'host': '{home / 'postgres'}'}})\n"
    )
    assert ask("select 1") == [(1,)]
    # A lost file means a new password.
    file.unlink()
    again = "from skyops_assets.runtime import prepare; prepare(settings)"
    finish(child(again, home, SKYOPS_POSTGRES_PORT=str(port)))
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask("select 1")
    assert ask("select 1", password=file.read_text().strip()) == [(1,)]
    finish(opened)
    # And without the setting there is no port.
    opened = child(HOLD, home)
    assert opened.stdout
    assert opened.stdout.readline() == "open\n"
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        ask("select 1", password=file.read_text().strip())
    told = child(OPEN, home, SKYOPS_POSTGRES_PORT=str(port))
    assert f"SKYOPS_POSTGRES_PORT={port} holds from its next start" in told.communicate()[1]
    finish(opened)


def test_a_port_that_is_taken_is_one_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SkyOpsError, match=f"port {port} of 127.0.0.1.*SKYOPS_POSTGRES_PORT"):
            open_warehouse(Settings(home=home, postgres_port=port))
    assert server_version(open_warehouse(Settings(home=home, postgres_port=port)))


# A start that fails


def test_why_the_server_does_not_start_is_told_at_once(home: Path) -> None:
    finish(child(OPEN, home))
    with (home / "postgres" / "postgresql.auto.conf").open("a") as file:
        file.write("shared_buffers = 'much'\n")
    began = time.monotonic()
    with pytest.raises(SkyOpsError) as caught:
        open_warehouse(Settings(home=home))
    assert time.monotonic() - began < SECONDS
    said = str(caught.value)
    assert re.fullmatch(
        r"The embedded Postgres in .* does not start: .*auto.conf.* \(its log: .*", said
    )


def test_a_full_disk_is_one_sentence_in_seconds() -> None:
    """Before the first start, and at a later one; and it works again once there is room."""
    with small_disk(100) as disk:
        fill = disk / "fill"
        folder = disk / "home"
        for size_mb in (90, 0):
            fill.write_bytes(bytes(size_mb * 2**20))
            if size_mb == 0:
                finish(child(OPEN, folder))
                with suppress(OSError):
                    fill.write_bytes(bytes(100 * 2**20))
            began = time.monotonic()
            with pytest.raises(SkyOpsError) as caught:
                open_warehouse(Settings(home=folder))
            assert time.monotonic() - began < SECONDS
            assert f"The disk of SKYOPS_HOME {str(folder)!r} is full: " in str(caught.value)
            assert "\n" not in str(caught.value)
        fill.unlink()
        assert finish(child(OPEN + "print('open')", folder)) == "open\n"
        stop_server(folder / "postgres")


@pytest.mark.parametrize("is_new", [True, False])
def test_a_home_that_can_only_be_read_is_one_sentence(is_new: bool) -> None:
    """With the command that opens the warehouse, and with the one that keeps services."""
    with small_disk(150) as disk:
        folder = disk / "home"
        if not is_new:
            finish(child(OPEN, folder))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        settings = Settings(home=folder)
        said = f"^SKYOPS_HOME '{folder}' cannot be used: Read-only file system. Set it to .*$"
        with pytest.raises(SkyOpsError, match=said):
            open_warehouse(settings)
        with pytest.raises(SkyOpsError, match=said), claimed(settings):
            pass
