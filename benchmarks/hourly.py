"""The hourly job, measured: with nothing new, and with ten minutes of 300 aircraft.

`skyops exec -- python -m benchmarks.hourly` runs only this. In a home of its own, with a server of
its own, after `skyops demo`. The job runs in a process of its own, as a run that the daemon starts;
its creation, which is the daemon's, is in the times too. CPU time is that of all its processes and
of Postgres: where others use the same cores it says more than the clock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.storage import Row, show, write_recording
from benchmarks.transform import LIVE_AIRCRAFT, LIVE_MIN, Feed, load

if TYPE_CHECKING:
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import Warehouse

ROUNDS = 2
ALLOWED_NOTHING_S, ALLOWED_LIVE_S = 25, 40
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Refresh:
    """One run of the job `refresh`.

    Attributes:
        cpu_s: of Dagster, dbt and what they start.
        postgres_s: of CPU in the server.
        stored_bytes: by which Dagster's database has grown.
    """

    wall_s: float
    cpu_s: float
    postgres_s: float
    events: int
    stored_bytes: int


def measure() -> Iterator[Row]:
    """Rows of the benchmark's table; the fastest of each."""
    from skyops_assets.runtime import environment
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import open_warehouse

    # Short: the path of a socket holds 107 characters.
    home = Path(tempfile.mkdtemp(prefix="hourly-", dir="/tmp"))
    try:
        settings = Settings(home=home, database_url=None, warehouse_url=None)
        # The server runs as long as this process.
        warehouse = open_warehouse(settings)
        variables = {**os.environ, **environment(settings, warehouse)}
        subprocess.run([BIN / "skyops", "demo"], env=variables, check=True, capture_output=True)
        write_recording(home / "recording.arrow")
        feed = Feed(home / "recording.arrow")
        # The demo has loaded it as it is.
        feed.number = 1
        refresh(settings, warehouse, variables)
        quiet: list[Refresh] = []
        live: list[Refresh] = []
        for _ in range(ROUNDS):
            quiet.append(refresh(settings, warehouse, variables))
            load(warehouse, feed.live())
            live.append(refresh(settings, warehouse, variables))
        yield _row("nothing new", quiet, ALLOWED_NOTHING_S)
        yield _row(f"{LIVE_MIN} min of {LIVE_AIRCRAFT} aircraft", live, ALLOWED_LIVE_S)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def refresh(settings: Settings, warehouse: Warehouse, variables: dict[str, str]) -> Refresh:
    """Run the job once, in a process of its own.

    Raises:
        subprocess.CalledProcessError: it failed; its output is printed.
    """
    database = settings.dagster_database
    size = "select pg_database_size(current_database())"
    events = (
        "select count(*) from event_logs "
        "where run_id = (select run_id from runs order by id desc limit 1)"
    )
    command = [
        BIN / "dagster", "job", "execute", "-m", "skyops_assets.definitions", "-j", "refresh",
    ]  # fmt: skip
    held, served_s = _one(warehouse, database, size), _server_s(settings)
    used, began = os.times(), time.perf_counter()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    wall_s, spent = time.perf_counter() - began, os.times()
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    done.check_returncode()
    return Refresh(
        wall_s,
        spent.children_user + spent.children_system - used.children_user - used.children_system,
        _server_s(settings) - served_s,
        _one(warehouse, database, events),
        _one(warehouse, database, size) - held,
    )


def _one(warehouse: Warehouse, database: str, query: str) -> int:
    with warehouse.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def _server_s(settings: Settings) -> float:
    """Seconds of CPU that the server and its ended and present processes have used."""
    import psutil

    pid = int((settings.home / "postgres" / "postmaster.pid").read_text().split()[0])
    server = psutil.Process(pid)
    times = [server.cpu_times(), *(child.cpu_times() for child in server.children())]
    ended = times[0].children_user + times[0].children_system
    return ended + sum(one.user + one.system for one in times)


def _row(what: str, runs: list[Refresh], allowed_s: float) -> Row:
    best = min(runs, key=lambda run: run.wall_s)
    return (
        f"hourly job, {what}",
        f"{best.wall_s:.1f} s ({best.cpu_s + best.postgres_s:.1f} s of CPU, of these Postgres "
        f"{best.postgres_s:.1f})",
        f"allowed {allowed_s:g} s; {best.events:,} events, {best.stored_bytes / 1e6:.1f} MB",
        f"{best.wall_s / allowed_s:.2f}",
    )


def main() -> None:
    """This table alone."""
    show(measure())


if __name__ == "__main__":
    main()
