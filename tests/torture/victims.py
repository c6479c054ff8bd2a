"""What the kill tests share: commands that can be killed, a server that can, and who died where."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from skyops_assets.errors import SkyOpsError
from skyops_assets.runtime import QUIET
from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.warehouse.connection import open_warehouse
from skyops_assets.warehouse.migrate import migrate

PATIENCE_S = 120.0
"""For what must happen; a busy machine is no failure."""
STARTING = "the server starts"
FIRST_HOUR = "2021-10-05T00:00"
WAYS = ("process", "process", "process", "process", "backend", "server")
"""What is killed: mostly the command; at times its connections, or the whole Postgres server."""


@dataclass(frozen=True)
class Command:
    """A running `skyops` command."""

    pid: int
    log: Path

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs, and of one that was killed."""
        last = self.said.rstrip().rpartition("\n")[2]
        return int(last.removeprefix("exit ")) if last.startswith("exit ") else None

    def ends_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.is_alive:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def end(self, sign: signal.Signals | None = None) -> int | None:
        """Wait for its end, after a signal if one is given; the exit code."""
        if sign is not None:
            self.signal(sign)
        assert self.ends_within(PATIENCE_S), f"it does not end:\n{self.said}"
        return self.code

    def signal(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, sign)

    def kill(self) -> bool:
        """Kill -9; False if it had ended by itself."""
        self.end(signal.SIGKILL)
        return self.code is None


class Nursery:
    """Starts commands; see `nursery`."""

    def __init__(self, home: Path) -> None:
        self._logs = home / "logs"
        self._logs.mkdir()
        self._numbers = count(1)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **QUIET, "SKYOPS_HOME": str(home), "SKYOPS_FIRST_HOUR": FIRST_HOUR},
            cwd=PROJECT_ROOT,
            text=True,
            start_new_session=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, *argv: str, **env: str) -> Command:
        log = self._logs / f"{next(self._numbers)}.log"
        job = {"argv": argv, "env": env, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Command(int(self._line()), log)

    def close(self) -> None:
        """Kill what runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


class Arena:
    """An embedded server of its own, whose warehouse can be made new, watched and killed.

    Commands find it by SKYOPS_HOME alone, so they also start it again where it was killed.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings(home=home)
        self.warehouse = open_warehouse(self.settings)
        # Nothing here outlives the tests, so nothing needs to survive a power cut.
        self._run("alter system set fsync = off", "select pg_reload_conf()")
        migrate(self.warehouse)
        self._run("create database pristine template skyops strategy file_copy")
        self.nursery = Nursery(home)

    def _run(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect("postgres", autocommit=True) as c, c.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def query(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def renew(self) -> None:
        """Make the warehouse empty, and forget what Dagster was told."""
        open_warehouse(self.settings)
        self._run(
            "drop database skyops with (force)",
            "create database skyops template pristine strategy file_copy",
        )
        with self.warehouse.connect(self.settings.dagster_database) as c, c.cursor() as cursor:
            cursor.execute("select to_regclass('event_logs')")
            if cursor.fetchone() != (None,):
                cursor.execute("truncate event_logs, asset_keys")

    def told(self) -> set[str]:
        """The partitions of raw/opensky_states that Dagster takes for loaded."""
        rows = self.query(
            'select partition from event_logs where asset_key = \'["raw", "opensky_states"]\' '
            "and dagster_event_type = 'ASSET_MATERIALIZATION'",
            self.settings.dagster_database,
        )
        return {row[0] for row in rows}

    def where(self) -> str:
        """What the server does for the command at this moment."""
        try:
            found = self._run(
                "select datname, state, query from pg_stat_activity "
                "where datname in ('skyops', 'dagster') order by backend_start desc"
            )
        except SkyOpsError:
            return STARTING
        return min(map(_doing, found), key=PLACES.index, default=PLACES[-1])

    def cut_connections(self) -> int:
        """Terminate the backends of all commands."""
        return len(
            self._run(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname in ('skyops', 'dagster') and backend_type = 'client backend'"
            )
        )

    def kill_server(self) -> bool:
        """Kill -9 the server with all its processes; False if it does not run."""
        try:
            pid = int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])
            postmaster = psutil.Process(pid)
            family = [postmaster, *postmaster.children(recursive=True)]
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return False
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return True

    def close(self) -> None:
        self.nursery.close()


PLACES = (
    *(f"in {word}" for word in ("COPY", "COMMIT", "CREATE", "WITH", "ALTER", "DROP")),
    "in another statement", "in a transaction", "telling Dagster", "between transactions",
    "not connected",
)  # fmt: skip
"""Where a command can be met, the most telling first."""


def _doing(backend: tuple[str, str, str]) -> str:
    """What one of its backends does."""
    database, state, query = backend
    if database == "dagster":
        return "telling Dagster"
    if state != "active":
        return "in a transaction" if state and "in trans" in state else "between transactions"
    place = f"in {query.split(maxsplit=1)[0].upper()}" if query.strip() else ""
    return place if place in PLACES else "in another statement"


class Killer:
    """Kills at random and keeps a list of who died where."""

    def __init__(self, arena: Arena, seed: int) -> None:
        self.arena = arena
        self.random = random.Random(seed)
        self.deaths: Counter[tuple[str, str]] = Counter()

    @property
    def kills(self) -> int:
        return sum(self.deaths.values())

    @property
    def at_work(self) -> int:
        """Kills within database work: a connection was open, mostly with a statement under way."""
        idle = ("not connected", STARTING)
        return sum(number for (_, where), number in self.deaths.items() if where not in idle)

    def strike(self, command: Command) -> str | None:
        """Kill one of the three; which it was, or None if there was nothing left to kill."""
        way = self.random.choice(WAYS)
        where = self.arena.where()
        if way == "process":
            hit = command.kill()
        elif way == "backend":
            try:
                hit = self.arena.cut_connections() > 0
            except SkyOpsError:  # The server still starts.
                hit = False
        else:
            hit = self.arena.kill_server()
        if not hit:
            return None
        self.deaths[way, where] += 1
        return way

    def summary(self) -> str:
        lines = [
            f"{number:5} {way:8} {where}" for (way, where), number in sorted(self.deaths.items())
        ]
        return "\n".join([f"{self.kills} kills, {self.at_work} within database work", *lines])
