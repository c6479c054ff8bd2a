"""What Dagster's storage takes after a year of hourly loads and refreshes, and of clean-ups.

`skyops exec -- python -m benchmarks.year [DAYS]`; it takes minutes, so `make bench` leaves it out.
In a home of its own, with a server of its own, after `skyops demo`: the load of an hour and a
refresh are run once and then copied in SQL, with the clean-up of each day. Refreshes are copied in
the last 30 days alone: those before would have gone. Ticks of sensors are not in it.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.storage import Row, show
from benchmarks.ticks import COPIED, copy_run

DAYS = 365
DAYS_OF_REFRESHES = 30
ALLOWED_GB = 1.0
BIN = Path(sys.executable).parent


def measure(days: int = DAYS) -> Iterator[Row]:
    """Rows of the benchmark's table."""
    import dagster as dg

    from skyops_assets.instance.retention import remove_old_runs
    from skyops_assets.runtime import environment
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import open_warehouse

    # Short: the path of a socket holds 107 characters.
    home = Path(tempfile.mkdtemp(prefix="year-", dir="/tmp"))
    # Before the server's end is registered, so that it comes after it.
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    settings = Settings(home=home, database_url=None, warehouse_url=None)
    warehouse = open_warehouse(settings)
    os.environ |= environment(settings, warehouse)

    def do(*statements: str) -> list[tuple[Any, ...]]:
        with (
            warehouse.connect(settings.dagster_database, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    make_runs(home)
    (refresh,), (load,) = do("select run_id from runs order by id desc limit 2")
    # The clean-up takes the templates too.
    of_both = f"where run_id in ('{refresh}', '{load}')"
    do("create schema kept")
    for name in COPIED:
        do(f"create table kept.{name} as select * from {name} {of_both}")
    most = 0
    with dg.DagsterInstance.get() as instance:
        for day in range(days):
            with (
                warehouse.connect(settings.dagster_database) as connection,
                connection.cursor() as cursor,
            ):
                for run_id in (load, refresh) if day >= days - DAYS_OF_REFRESHES else (load,):
                    hours = range(24 * day + 1, 24 * day + 25)
                    copy_run(cursor, run_id, hours, 24 * days, "kept")
            began = time.perf_counter()
            remove_old_runs(instance, settings.run_retention_days)
            spent_s = time.perf_counter() - began
            # As autovacuum does, within the day.
            ((size,),) = do("vacuum analyze", "select pg_database_size(current_database())")
            most = max(most, size)
            print(f"day {day + 1}: {size / 1e6:.0f} MB, clean-up {spent_s:.1f} s")
    ((events,),) = do("select count(*) from event_logs")
    yield (
        f"Dagster's database in {days} days",
        f"{most / 1e9:.2f} GB at most (the last clean-up took {spent_s:.1f} s)",
        f"allowed {ALLOWED_GB:g} GB; {events:,} events",
        f"{most / 1e9 / ALLOWED_GB:.2f}",
    )


def make_runs(home: Path) -> None:
    """A demo, the load of one hour and a refresh, in this order."""
    from skyops_assets.sources.opensky.reading.recordings import DEMO, DEMO_START

    config = home / "load.json"
    read = {"ops": {"raw__opensky_states": {"config": {"recording": DEMO}}}}
    config.write_text(json.dumps(read))
    hour = {"dagster/partition": f"{DEMO_START:%Y-%m-%d-%H:%M}"}
    execute = [BIN / "dagster", "job", "execute", "-m", "skyops_assets.definitions", "-j"]
    for command in (
        [BIN / "skyops", "demo"],
        [*execute, "poll", "--config", str(config), "--tags", json.dumps(hour)],
        [*execute, "refresh"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()


def main() -> None:
    """This table; a number of days makes it quicker."""
    show(measure(*(int(argument) for argument in sys.argv[1:])))


if __name__ == "__main__":
    main()
