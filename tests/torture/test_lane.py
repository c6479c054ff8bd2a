"""Kill -9 of the live lane, of loads and builds at random: the models equal a full refresh."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.settings import PROJECT_ROOT, load_settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.transform.dbt import build_arguments
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.models import MODELS, contents
from tests.support.paris import circuits, paris

pytestmark = [
    pytest.mark.xdist_group("torture"),
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("manifest"),
]
KILLS, MINUTES = 50, 180
"""A minute of the recording a load: much faster than it was flown."""
COMMANDS = {
    "lane": [sys.executable, "-m", "skyops_assets", "follow"],
    "loads": [sys.executable, "-c", "from tests.torture.test_lane import main; main()"],
    "build": [str(Path(sys.executable).parent / "skyops-dbt"), "--quiet", *build_arguments()],
}


def minutes() -> list[pa.Table]:
    """The recording by the minute; the first hour is one part."""
    states = pa.concat_tables([paris(80), circuits()])
    bounds = [DEMO_START + timedelta(minutes=at) for at in (0, *range(60, MINUTES + 1))]
    at = states["time_position"]
    return [
        states.filter(pc.and_(pc.greater_equal(at, pa.scalar(first)), pc.less(at, pa.scalar(end))))
        for first, end in pairwise(bounds)
    ]


def load(warehouse: Warehouse, part: pa.Table) -> None:
    load_states(warehouse, Recording("paris", part, part))


def main() -> None:
    """Load part after part, from where the process before was killed."""
    settings = load_settings()
    warehouse, done = open_warehouse(settings), settings.home / "loaded"
    for number, part in enumerate(minutes()):
        if number >= len(done.read_text()):
            load(warehouse, part)
            with done.open("a") as file:
                file.write(".")


class Victim:
    """A command that is started again when it has ended or was killed."""

    def __init__(self, name: str, log: Path) -> None:
        self._name, self._log, self.kills = name, log, 0
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                COMMANDS[self._name], cwd=PROJECT_ROOT, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def kill(self, *, for_good: bool = False) -> None:
        if self._process.poll() is None:
            self.kills += 1
            self._process.kill()
            self._process.wait()
        if not for_good:
            self._start()


def kill_at_random(is_over: Callable[[], bool], log: Path) -> dict[str, int]:
    """Kill the lane, the loads and the build, each at random moments; returns how often."""
    luck = random.Random(17)
    victims = {name: Victim(name, log) for name in COMMANDS}
    try:
        while sum(one.kills for one in victims.values()) < KILLS or not is_over():
            time.sleep(luck.uniform(0.5, 8))
            victims[luck.choice(("lane", "lane", "loads", "build"))].kill()
    finally:
        for one in victims.values():
            one.kill(for_good=True)
    return {name: one.kills for name, one in victims.items()}


def test_nothing_is_lost_or_left_untested(
    pointed: Warehouse,
    databases: Databases,
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("minutes of the lane, loads and builds at once: `make torture` kills them")
    whole, parts, home = databases.new(), minutes(), load_settings().home
    for warehouse in (pointed, whole):
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    load(pointed, parts[0])
    done = home / "loaded"
    done.write_text(".")
    run = dbt_of(pointed)
    run(*build_arguments())
    kills = kill_at_random(lambda: len(done.read_text()) == len(parts), home / "victims.log")
    run(*build_arguments())
    assert min(kills.values()) > 5, kills
    assert query(pointed, "select count(*) from audit.pending_ranges") == [(0,)]
    assert query(
        pointed,
        "select count(*) from raw.ingest_batches "
        "where target = 'raw.opensky_states' and transformed_at is null",
    ) == [(0,)]  # fmt: skip
    for part in parts:
        load(whole, part)
    dbt_of(whole)("run")
    found, expected = contents(query, pointed), contents(query, whole)
    for model in MODELS:
        assert found[model] == expected[model], model
