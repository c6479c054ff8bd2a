"""A small Citus cluster: a coordinator and two workers, from a script outside of this repository.

Belongs here: starting and stopping it, warehouses on it, rows to load. Does not: what is asked of
them.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.states import state, states

START = datetime(2021, 10, 7, 22, tzinfo=UTC)
STORED = (
    "select to_jsonb(t)::text from raw.opensky_states as t order by icao24, time_position, source"
)
SCRIPT = "SKYOPS_TEST_CITUS"
"""The script: `start DIR [DATABASE]` prints an address, `status DIR`, `stop DIR --delete`."""
PREFIX = "CITUS_PREFIX"
"""Where it has built Citus."""


class Cluster:
    """A running cluster in a folder of its own.

    Args:
        script: see `SCRIPT`.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        self.script = script
        self.folder = folder

    def _run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [str(self.script), *arguments], check=False, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def start(self, database: str = "skyops") -> str:
        """Start what does not run; the address of a database, made where there is none."""
        return self._run("start", str(self.folder), database).strip().splitlines()[-1]

    def warehouse(self, name: str) -> Warehouse:
        """A migrated warehouse."""
        settings = Settings(
            home=self.folder, database_url=self.start(name), citus=True,
            dagster_database=f"{name}_dagster", mlflow_database=f"{name}_mlflow",
        )  # fmt: skip
        found = open_warehouse(settings)
        migrate(found)
        return found

    def kill(self, node: str) -> None:
        """Kill the server of a node, `coordinator`, `worker1` or `worker2`, without a warning."""
        pid = int((self.folder / node / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop all servers and remove their files."""
        self._run("stop", str(self.folder), "--delete", check=False)


def positions(luck: random.Random, hours: int, *, aircraft: int = 12) -> pa.Table:
    """Good rows, each minute one of each aircraft, with contacts that lag by some seconds."""
    rows = [
        state(
            icao24=f"{0x3C0000 + number:06x}",
            time_position=START + timedelta(minutes=minute),
            last_contact=luck.choice(
                (None, START + timedelta(minutes=minute, seconds=luck.randint(-3, 3)))
            ),
            baro_altitude_m=float(luck.randint(0, 9000)),
        )
        for minute in range(60 * hours)
        for number in range(aircraft)
    ]
    return states(*rows)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster for as long as it is used; skips the test where there is no Citus."""
    script = os.environ.get(SCRIPT)
    if not script or not os.environ.get(PREFIX):
        pytest.skip(f"{SCRIPT} names no script that starts Citus, or {PREFIX} no Citus")
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    folder.chmod(0o755)
    found = Cluster(Path(script), folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)
