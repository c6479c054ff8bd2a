"""Kill -9 of lane, collector and builds at random: the tables equal a full refresh."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.arrivals.steps import train
from skyops_assets.monitoring import monitor
from skyops_assets.settings import PROJECT_ROOT, load_settings
from skyops_assets.simulate.fake_opensky import FakeOpenSky, running
from skyops_assets.simulate.fake_states import Replay
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START
from skyops_assets.transform.dbt import DBT_PROJECT, build_arguments
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt, dbt_environment
from tests.support.models import contents
from tests.support.paris import circuits, paris

pytestmark = [
    pytest.mark.xdist_group("torture"),
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("manifest"),
]
KILLS, SPEED, PLENTY = 50, 8, 100_000_000
LIVE_FROM = DEMO_START + timedelta(hours=1)
"""Two hours of traffic remain, a quarter of an hour by the clock."""
BIN = Path(sys.executable).parent
COMMANDS: dict[str, list[str]] = {
    "lane": [sys.executable, "-m", "skyops_assets", "follow"],
    "collector": [sys.executable, "-m", "skyops_assets", "collect"],
    # What a run of `hourly_refresh` has dbt do; the run's own end kills it too.
    "build": [str(BIN / "skyops-dbt"), *build_arguments()],
}


class Victim:
    """A command that is started again when it has ended or was killed."""

    def __init__(self, name: str, log: Path) -> None:
        self._name, self._log, self.kills = name, log, 0
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                COMMANDS[self._name],
                cwd=DBT_PROJECT if self._name == "build" else PROJECT_ROOT,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def keep(self) -> None:
        """Start it again where it has ended by itself."""
        if self._process.poll() is not None:
            self._start()

    def kill(self, *, for_good: bool = False) -> None:
        if self._process.poll() is None:
            self.kills += 1
            self._process.kill()
            self._process.wait()
        if not for_good:
            self._start()


def kill_at_random(is_over: Callable[[], bool], log: Callable[[str], Path]) -> dict[str, int]:
    """Kill lane, collector and build, each at random moments; returns how often."""
    luck = random.Random(17)
    victims = {name: Victim(name, log(name)) for name in COMMANDS}
    try:
        while sum(one.kills for one in victims.values()) < KILLS or not is_over():
            until = time.monotonic() + luck.uniform(2, 32)
            while time.monotonic() < until:
                for one in victims.values():
                    one.keep()
                time.sleep(0.2)
            victims[luck.choice(tuple(COMMANDS))].kill()
    finally:
        for one in victims.values():
            one.kill(for_good=True)
    return {name: one.kills for name, one in victims.items()}


def test_what_was_not_tested_is_neither_learned_from_nor_watched(
    pointed: Warehouse,
    dbt_of: Callable[[Warehouse], Dbt],
    dbt_folder: Path,
    query: Query,
    request: pytest.FixtureRequest,
) -> None:
    """A build is killed among its last tests, all models built; the next one tests it all."""
    if not request.config.getoption("--long"):
        pytest.skip("three builds of a hundred aircraft: `make torture` runs them")
    settings = load_settings()
    today = paris(100)
    column = today.schema.get_field_index("time_position")
    past = pc.subtract(today["time_position"], pa.scalar(timedelta(days=1)))
    yesterday = today.set_column(column, today.schema[column], past.cast(today.schema[column].type))
    reference.replace_reference(pointed, "raw.airports", "airportsdata", reference.airports())
    load_states(pointed, Recording("paris", yesterday, yesterday))
    dbt_of(pointed)(*build_arguments())
    known = train.build_training_set(pointed, settings)
    reach = monitor.monitor_champion(pointed, settings).at
    assert known.row_count > 10 and reach and "not tested yet" not in known.excluded
    load_states(pointed, Recording("paris", today, today))
    target = dbt_folder / "killed"
    log = target / "output"
    target.mkdir()
    with log.open("wb") as output:
        build = subprocess.Popen(
            COMMANDS["build"], cwd=DBT_PROJECT, stdout=output, stderr=subprocess.STDOUT,
            env=dbt_environment(dbt_folder, target, pointed),
        )  # fmt: skip
    while not re.search(r"PASS \w+arrival_features_", log.read_text()):
        assert build.poll() is None, log.read_text()
        time.sleep(0.01)
    build.kill()
    build.wait()

    # The models are built; what waits is all of today, and of yesterday what today can change.
    arrivals = query(pointed, "select count(*) from features.arrival_features where ring_nm = 40")
    left = train.build_training_set(pointed, settings)
    assert left.crossed_through_at and known.crossed_through_at
    assert 0 < left.row_count <= known.row_count and left.crossed_through_at <= reach
    assert left.excluded["not tested yet"] > known.row_count
    assert [(left.row_count + sum(left.excluded.values()),)] == arrivals
    watched = monitor.monitor_champion(pointed, settings).at
    assert watched and watched <= reach

    dbt_of(pointed)(*build_arguments())
    assert query(pointed, "select count(*) from audit.pending_hours") == [(0,)]
    learned = train.build_training_set(pointed, settings)
    assert learned.row_count > 1.5 * known.row_count and "not tested yet" not in learned.excluded
    watched = monitor.monitor_champion(pointed, settings).at
    assert watched and watched > reach + timedelta(hours=20)


def test_nothing_is_lost_or_left_untested(  # noqa: PLR0917
    pointed: Warehouse,
    databases: Databases,
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("half an hour of lane, collector and builds at once: `make torture` kills them")
    home = load_settings().home
    states = pa.concat_tables([paris(80), circuits()])
    is_live = pc.greater_equal(states["time_position"], pa.scalar(LIVE_FROM))
    reference.replace_reference(pointed, "raw.airports", "airportsdata", reference.airports())
    earlier, live = states.filter(pc.invert(is_live)), states.filter(is_live)
    load_states(pointed, Recording("paris", earlier, earlier))
    run = dbt_of(pointed)
    run(*build_arguments())
    fake = FakeOpenSky(Replay(Recording("paris", live, live)), speed=SPEED, daily_credits=PLENTY)
    end = int(DEMO_END.timestamp()) - 60

    def passes() -> int:
        return (home / "lane.log").read_text().count("models ")

    with running(fake) as server:
        for name, value in {
            "SKYOPS_OPENSKY_URL": server.url,
            "SKYOPS_OPENSKY_TOKEN_URL": server.token_url,
            "SKYOPS_OPENSKY_CLIENT_ID": "me",
            "SKYOPS_OPENSKY_CLIENT_SECRET": "anything",
            "SKYOPS_OPENSKY_DAILY_CREDITS": str(PLENTY),
            "SKYOPS_COLLECT_INTERVAL_S": str(10 / SPEED),
            # The flight that holds is a Dutch one.
            "SKYOPS_COLLECT_RADIUS_NM": "300",
            "DBT_PROFILES_DIR": str(DBT_PROJECT),
        }.items():
            monkeypatch.setenv(name, value)
        kills = kill_at_random(
            lambda: fake.now > end and passes() > KILLS, lambda name: home / f"{name}.log"
        )
    [(collected,)] = query(
        pointed, "select count(*) from raw.opensky_states where source like 'simulated:%%'"
    )
    print(f"killed {kills}; {passes()} passes; {collected:,} positions of "
          f"{len(fake.accounts.delivered):,} delivered")  # fmt: skip
    assert min(kills.values()) > 5
    assert collected > 0.9 * len(fake.accounts.delivered)
    run(*build_arguments())
    assert query(pointed, "select count(*) from audit.pending_ranges") == [(0,)]
    assert query(pointed, "select count(*) from audit.pending_hours") == [(0,)]
    assert query(
        pointed,
        "select count(*) from raw.ingest_batches "
        "where target = 'raw.opensky_states' and transformed_at is null",
    ) == [(0,)]  # fmt: skip
    whole = databases.new(template=pointed.url.database)
    dbt_of(whole)("run", "--full-refresh")
    tables = tuple(
        name for (name,) in query(
            pointed,
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_type = 'BASE TABLE' "
            "and table_schema in ('staging', 'intermediate', 'metrics', 'features') order by 1",
        )
    )  # fmt: skip
    found, expected = contents(query, pointed, tables), contents(query, whole, tables)
    print(f"{len(tables)} tables, {sum(map(len, expected.values())):,} rows")
    assert len(tables) > 40
    different = [name for name in tables if found[name] != expected[name]]
    for name in different:
        print(name, *sorted({*found[name]} ^ {*expected[name]})[:6], sep="\n  ")
    assert different == []
