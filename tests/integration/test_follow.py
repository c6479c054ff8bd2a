"""`skyops follow` on a real warehouse: it builds what loads bring, takes turns, ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.transform.dbt import TURN, build_arguments
from skyops_assets.warehouse.connection import Warehouse, only_one
from tests.support.databases import Query
from tests.support.dbt import Dbt
from tests.support.states import recording, seconds

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]
PATIENCE_S = 120
FLIGHTS = "select count(*) from metrics.fct_flights"


class Follower:
    """The command, and what it has said."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skyops_assets.cli", "follow"],
            stdout=log.open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said a text so often."""
        self.until(lambda: self.log.read_text().count(text) >= times)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something while it runs."""
        patience = time.monotonic() + PATIENCE_S
        while not is_so():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < patience, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture
def follower(pointed: Warehouse, tmp_path: Path) -> Iterator[Follower]:
    reference.replace_reference(pointed, "raw.airports", "airportsdata", reference.airports())
    one = Follower(tmp_path / "follow.log")
    yield one
    one.process.kill()
    one.process.wait()


def test_a_load_is_in_the_live_models_as_soon_as_it_commits(
    follower: Follower,
    pointed: Warehouse,
    query: Query,
    dbt_of: Callable[[Warehouse], Dbt],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(hour: int) -> None:
        at: datetime = DEMO_START + timedelta(hours=hour)
        load_states(pointed, recording(*seconds(30, at)))

    def flights() -> int:
        return int(query(pointed, FLIGHTS)[0][0])

    # Where nothing was built yet, it waits for that, and does not build by itself.
    load(0)
    follower.says("Waiting for a full build")
    dbt_of(pointed)(*build_arguments())
    assert flights() == 1
    follower.says("Everything is up to date.")

    load(1)
    follower.until(lambda: flights() == 2)
    minutes = "select count(distinct date_trunc('hour', minute_at)) from metrics.phase_counts_1m"
    assert query(pointed, minutes) == [(1,)]

    # In turns: while a model of a build, or a run that is alone, writes, it waits.
    with only_one(pointed, TURN, lambda: None):
        load(2)
        follower.says("Waiting for another dbt run.")
        assert flights() == 2
    follower.until(lambda: flights() == 3)

    # The next build tests what it made, and makes what it left.
    dbt_of(pointed)(*build_arguments())
    assert query(pointed, minutes) == [(3,)]
    assert query(pointed, "select count(*) from audit.pending_ranges") == [(0,)]

    # With other airports everything is to be built anew, which is not its work.
    reference.replace_reference(
        pointed, "raw.airports", "airportsdata", reference.airports().slice(1)
    )
    load(3)
    follower.says("Waiting for a full build", times=2)
    assert flights() == 3

    # Dagster is told of the first pass at once, and then once in five minutes.
    import dagster as dg

    monkeypatch.setenv("DAGSTER_HOME", f"{os.environ['SKYOPS_HOME']}/dagster")
    with dg.DagsterInstance.get() as instance:
        (told,) = instance.fetch_observations(dg.AssetKey(["live", "feed"]), limit=9).records
    observed = told.event_log_entry.asset_observation
    assert observed is not None
    assert observed.metadata["passes"].value == 1
    assert observed.metadata["waiting_load_count"].value == 0

    follower.process.send_signal(signal.SIGTERM)
    assert follower.process.wait(PATIENCE_S) == 0
    assert follower.log.read_text().rstrip().endswith("Stopped.")
