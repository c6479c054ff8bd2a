"""The live lane, measured: simulated aircraft, an answer every ten seconds.

`skyops exec -- python -m benchmarks.follow [AIRCRAFT] [MINUTES]` runs only this. Positions of the
minutes before are loaded and built at once; then passes are run one by one with an answer each, as
`skyops follow` runs them, and their models can be told apart (`--plans`).
`--live [AIRCRAFT] [MINUTES] [LIVE MINUTES]`: the stand-in for OpenSky answers by the clock, and
`skyops collect` and `skyops follow` work: told is the time from an answer's last byte to its rows
in `live.arrivals`; with `--refresh` also beside an hourly refresh. `--memory [PASSES]` tells how
the lane's process grows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import hourly
from benchmarks.storage import Row, scratch
from benchmarks.transform import dbt, load, load_reference
from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.transform.dbt import build_arguments

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

AIRPORTS = ("EHAM", "LFPG", "LSZH", "LEMD", "KDEN", "KABQ", "KASE", "MMMX")
WATCHED = ("EHAM", "LSZH", "LFPG")
START = datetime(2024, 1, 31, tzinfo=UTC)
FLIGHTS, ANSWER_S, PASSES, SETTLED_PASSES = 400, 10, 12, 50
CREDITS, LOOK_EVERY_S = 1_000_000, 0.2


class Traffic:
    """Simulated flights over and over, so that always about as many aircraft are heard.

    Each copy of a flight has an address and a start of its own, and is heard once in an answer.
    """

    def __init__(
        self,
        aircraft: int,
        seconds: int,
        start: datetime = START,
        airports: tuple[str, ...] = AIRPORTS,
    ) -> None:
        self.start_s = int(start.timestamp())
        flights = _flights(airports)
        lasting_s = float(np.mean([len(one) for one in flights])) * ANSWER_S
        copies = int(aircraft * (seconds + lasting_s) / lasting_s)
        luck = np.random.default_rng(1)
        starts = luck.integers(-int(lasting_s), seconds, copies)
        parts = []
        for number, begins_s in enumerate(starts):
            flight = flights[number % len(flights)]
            at = pa.array(self.start_s + begins_s + np.arange(len(flight)) * ANSWER_S)
            parts.append(
                _with(flight, time_position=at.cast(pa.timestamp("s", "UTC")),
                      icao24=pa.array([f"{0x400000 + number:06x}"] * len(flight)))
            )  # fmt: skip
        self.states = pa.concat_tables(parts).sort_by("time_position")
        seconds_since = pc.subtract(
            self.states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()),
            self.start_s,
        )
        self._since = seconds_since.to_numpy()

    def between(self, first_s: int, end_s: int) -> pa.Table:
        """What is heard from one second to another, counted from the start."""
        first, end = np.searchsorted(self._since, (first_s, end_s))
        return self.states.slice(first, end - first)


def _flights(airports: tuple[str, ...]) -> list[pa.Table]:
    """Flights, each as it is heard every ten seconds; rows that were not received are missing."""
    from skyops_assets.simulate.flights import Plan
    from skyops_assets.simulate.reception import Quality
    from skyops_assets.simulate.write import Layout, simulate, write
    from skyops_assets.sources.opensky.reading.recording import by_source
    from skyops_assets.sources.opensky.reading.recordings import iter_recording

    plan = Plan(6, START, 1, airports)
    with tempfile.TemporaryDirectory() as folder:
        made = simulate(plan, flights=FLIGHTS, layout=Layout.traffic, quality=Quality())
        write(Path(folder) / "made", made, plan)
        recording = Path(folder) / "made" / "recording"
        [found] = by_source(iter_recording(recording, START, START + timedelta(days=4)))
    states = found.states
    seconds = states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    states = states.filter(
        pc.equal(pc.subtract(seconds, pc.multiply(pc.divide(seconds, ANSWER_S), ANSWER_S)), 0)
    )
    states = states.sort_by([("icao24", "ascending"), ("time_position", "ascending")])
    addresses = np.asarray(states["icao24"].to_pylist())
    times = states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy()
    begins = np.flatnonzero((addresses[1:] != addresses[:-1]) | (np.diff(times) > 600)) + 1
    bounds = [0, *begins.tolist(), len(states)]
    return [states.slice(first, end - first) for first, end in pairwise(bounds) if end - first > 60]


def _with(table: pa.Table, **columns: pa.Array) -> pa.Table:
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, values.cast(field.type))
    return table


class Lane:
    """Runs passes as `skyops follow` does."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        from dbt.cli.main import dbtRunner

        from skyops_assets.runtime import environment
        from skyops_assets.settings import load_settings
        from skyops_assets.transform.dbt import (
            build_arguments,
            prepare_session,
            transform_fingerprint,
        )
        from skyops_assets.transform.follow import PASS, pass_options

        os.environ.update(environment(load_settings(), warehouse))
        prepare_session(warehouse)
        self._arguments = [*PASS, *pass_options(folder / "lane")]
        parsed = dbtRunner().invoke(["parse", *self._arguments[len(PASS) :]])
        self._dbt = dbtRunner(manifest=parsed.result)
        os.environ["SKYOPS_TRANSFORM_FINGERPRINT"] = transform_fingerprint(
            warehouse, build_arguments()
        )

    def run(self) -> tuple[float, dict[str, float]]:
        """One pass: its seconds, and those of each model."""
        began = time.perf_counter()
        done: Any = self._dbt.invoke(self._arguments)
        assert done.success, done.exception or done.result
        wall_s = time.perf_counter() - began
        return wall_s, {one.node.name: one.execution_time for one in done.result.results}


def measure(aircraft: int = 300, minutes: int = 30) -> Iterator[Row]:
    """Rows of the benchmark's table.

    Args:
        aircraft: heard at the same time.
        minutes: of positions before the first pass.
    """
    os.environ["SKYOPS_WATCH_AIRPORTS"] = ",".join(WATCHED)
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        traffic = Traffic(aircraft, minutes * 60 + (PASSES + 1) * ANSWER_S)
        load(warehouse, traffic.between(-100_000, minutes * 60))
        dbt(warehouse, Path(folder), "run")
        lane = Lane(warehouse, Path(folder))
        passes, nodes = [], {}
        for number in range(PASSES):
            at = minutes * 60 + number * ANSWER_S
            new = traffic.between(at, at + ANSWER_S)
            load(warehouse, new)
            wall_s, spent = lane.run()
            passes.append(wall_s)
            for name, seconds in spent.items():
                nodes[name] = nodes.get(name, 0.0) + seconds / PASSES
            if "--plans" in sys.argv:
                print(f"  {len(new):,} positions: {wall_s:.2f} s", flush=True)
        if "--plans" in sys.argv:
            for name, mean_s in sorted(nodes.items(), key=lambda item: -item[1])[:30]:
                print(f"  {mean_s:7.3f} {name}")
        yield (
            f"a pass, {aircraft:,} aircraft, {minutes} min after the first position",
            f"{median(passes):.2f} s",
            f"longest {max(passes):.2f} s",
            "",
        )


def measure_live(aircraft: int = 300, minutes: int = 120, lasting: int = 10) -> Iterator[Row]:
    """Rows of the table: `skyops collect` asks the stand-in, and `skyops follow` works beside it.

    The traffic is European, as all of it is asked for as one box; champions of both rings predict.
    With ``--refresh`` an hourly refresh, with its tests, begins after a quarter of the time.

    Args:
        aircraft: heard at the same time.
        minutes: of positions before the first answer, which the champions learn from.
        lasting: minutes of answers.
    """
    lasting_s = lasting * 60
    with _followed(aircraft, minutes, lasting_s + 1800, AIRPORTS[:4]) as (
        warehouse, folder, lane, traffic,
    ):  # fmt: skip
        for ring_nm in RINGS_NM:
            _crown(warehouse, ring_nm)
        at = int(time.time()) - traffic.start_s
        load(warehouse, traffic.between(minutes * 60, at))
        lane.passes(1)
        stand_in = StandIn(traffic.between(at, minutes * 60 + lasting_s + 1800))
        with stand_in.collected(warehouse, folder / "collect.log"):
            refresh = Refreshed(warehouse)
            board = Board(warehouse)
            board.watch(time.time() + lasting_s / 4)
            if "--refresh" in sys.argv:
                refresh.start()
            board.watch(time.time() + lasting_s * 3 / 4)
            refresh.join()
        waited, passes = re.findall(r"after waiting (\d+) s", lane.log.read_text()), lane.passes()
        given_at = stand_in.given_at(warehouse)
        shown = {"moved on": board.moved(given_at), "new": board.new(given_at)}
    for beside in (False, True) if refresh.took_s else (False,):
        for what, took in shown.items():
            seconds = [spent for at, spent in took if refresh.is_at(at) == beside]
            if seconds:
                yield (
                    f"{aircraft:,} aircraft: an answer's last byte to a row that is {what}"
                    + (" in live.arrivals, beside a refresh" if beside else " in live.arrivals"),
                    f"p50 {median(seconds):.1f} s, p95 {np.quantile(seconds, 0.95):.1f} s, "
                    f"longest {max(seconds):.1f} s",
                    f"{len(seconds):,} rows",
                    "",
                )
    yield (
        f"{aircraft:,} aircraft: passes in {lasting} min",
        str(passes),
        f"a refresh of {refresh.took_s:.0f} s beside them; "
        f"the longest wait for it {max(map(int, waited), default=0)} s",
        "",
    )


def _crown(warehouse: Warehouse, ring_nm: int) -> None:
    """Make a model of what is known the ring's champion: how good it is, is no matter here."""
    from skyops_assets.arrivals.models import champions
    from skyops_assets.arrivals.steps import train
    from skyops_assets.settings import load_settings

    settings = load_settings()
    train.build_training_set(warehouse, settings, ring_nm=ring_nm)
    made = train.train_challenger(warehouse, settings, ring_nm=ring_nm)
    assert made.model_version, made.untrained_reason
    champions.promote(
        warehouse, settings, made.model_version, "to be measured", ring_nm=ring_nm
    )  # fmt: skip


class StandIn:
    """`skyops fake-opensky` with traffic as it is now, and when it gave which answer."""

    def __init__(self, states: pa.Table) -> None:
        from skyops_assets.simulate.fake_opensky import FakeOpenSky
        from skyops_assets.simulate.fake_states import Replay
        from skyops_assets.sources.opensky.reading.recording import Recording

        self._replay = Replay(Recording("bench", states, states))
        self._ask, self._times = self._replay.at, []
        self._replay.at = self._at
        self._fake = FakeOpenSky(
            self._replay, starts_at=self._replay.start, daily_credits=CREDITS
        )  # fmt: skip
        self._fake.advance(time.time() - self._replay.start)

    def _at(self, second: int) -> Any:
        found = self._ask(second)
        self._times.append(time.time())
        return found

    @contextmanager
    def collected(self, warehouse: Warehouse, log: Path) -> Iterator[None]:
        """`skyops collect` asks it every ten seconds."""
        from skyops_assets.simulate.fake_opensky import running

        with running(self._fake) as server:
            os.environ |= {
                "SKYOPS_OPENSKY_URL": server.url,
                "SKYOPS_OPENSKY_TOKEN_URL": server.token_url,
                "SKYOPS_OPENSKY_CLIENT_ID": "bench",
                "SKYOPS_OPENSKY_CLIENT_SECRET": "anything",
                "SKYOPS_OPENSKY_DAILY_CREDITS": str(CREDITS),
                "SKYOPS_COLLECT_RADIUS_NM": "1000",
                "SKYOPS_COLLECT_INTERVAL_S": str(ANSWER_S),
            }
            with _service(warehouse, "collect", log):
                yield

    def given_at(self, warehouse: Warehouse) -> dict[tuple[str, datetime], float]:
        """When the answer was given that a fresh position came with; an answer is a batch."""
        rows = _all(
            warehouse,
            "select icao24, time_position, number from raw.opensky_states inner join ("
            "select batch_id, row_number() over (order by batch_id) - 1 as number "
            "from raw.ingest_batches where source = 'simulated:fake-opensky') as answers "
            "using (batch_id) inner join intermediate.int_positions__phased using (icao24) "
            "where time_position = positioned_at and position_status = 'fresh'",
        )
        return {(icao24, at): self._times[number] for icao24, at, number in rows}


class Board:
    """What `live.arrivals` shows, looked at again and again."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._on_it: dict[str, list[tuple[datetime, float]]] = {}
        self._was_on_it: list[tuple[str, list[tuple[datetime, float]]]] = []
        self._first: dict[tuple[Any, ...], float] = {}

    def watch(self, until: float) -> None:
        """Note what is new on it."""
        query = (
            "select icao24, heard_at, flight_id, airport, ring_nm, model_version, is_on_final "
            "from live.arrivals"
        )
        with self._warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
            while time.time() < until:
                cursor.execute(query)
                now = time.time()
                rows = cursor.fetchall()
                for icao24 in self._on_it.keys() - {row[0] for row in rows}:
                    del self._on_it[icao24]
                for icao24, heard_at, *key, is_on_final in rows:
                    if icao24 not in self._on_it:
                        self._on_it[icao24] = []
                        self._was_on_it.append((icao24, self._on_it[icao24]))
                    seen = self._on_it[icao24]
                    if not seen or heard_at > seen[-1][0]:
                        seen.append((heard_at, now))
                    # Who is in line with a runway may come on the board without an answer.
                    if tuple(key) not in self._first and not is_on_final:
                        self._first[tuple(key)] = now
                time.sleep(LOOK_EVERY_S)

    def moved(self, given_at: dict[tuple[str, datetime], float]) -> list[tuple[float, float]]:
        """When each answer's positions were given, and seconds until their rows had them."""
        came: dict[str, list[datetime]] = {}
        for icao24, at in given_at:
            came.setdefault(icao24, []).append(at)
        took = []
        for icao24, seen in self._was_on_it:
            for at in came.get(icao24, []):
                place = bisect_left(seen, at, key=lambda one: one[0])
                if 0 < place < len(seen):
                    given = given_at[icao24, at]
                    took.append((given, seen[place][1] - given))
        return took

    def new(self, given_at: dict[tuple[str, datetime], float]) -> list[tuple[float, float]]:
        """The same of the position that told of a crossing, until its prediction is shown."""
        rows = _all(
            self._warehouse,
            "select told.icao24, crossings.known_at, told.flight_id, told.airport, told.ring_nm, "
            "told.model_version from ml.predictions as told "
            "inner join features.crossing_features as crossings using (flight_id, airport, ring_nm)"
            " where told.model_name not like 'baseline%'",
        )
        return [
            (given_at[icao24, known_at], self._first[tuple(key)] - given_at[icao24, known_at])
            for icao24, known_at, *key in rows
            if tuple(key) in self._first and (icao24, known_at) in given_at
        ]


class Refreshed(threading.Thread):
    """A run of the job `refresh`, as of each hour."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__()
        self._warehouse, self._began, self.took_s = warehouse, 0.0, 0.0

    def run(self) -> None:
        from skyops_assets.runtime import environment
        from skyops_assets.settings import load_settings

        settings = load_settings()
        variables = {**os.environ, **environment(settings, self._warehouse)}
        self._began = time.time()
        try:
            hourly.refresh(settings, self._warehouse, variables)
        finally:
            self.took_s = time.time() - self._began

    def join(self, timeout: float | None = None) -> None:
        if self.ident:
            super().join(timeout)

    def is_at(self, moment: float) -> bool:
        """Whether it was under way then."""
        return self._began <= moment <= self._began + self.took_s


def _all(warehouse: Warehouse, query: str) -> list[Any]:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def measure_memory(passes: int = 500, aircraft: int = 30) -> Iterator[Row]:
    """Rows of the table: the memory of `skyops follow` after many passes, one upon another."""
    import psutil

    minutes, used = 10, []
    with _followed(aircraft, minutes, seconds=passes * ANSWER_S) as (warehouse, _, lane, traffic):
        for number in range(passes):
            at = minutes * 60 + number * ANSWER_S
            load(warehouse, traffic.between(at, at + ANSWER_S))
            lane.passes(number + 1)
            if number + 1 in (SETTLED_PASSES, passes):
                used.append(psutil.Process(lane.process.pid).memory_info().rss / 2**20)
        again = lane.log.read_text().count("Restarting")
    yield (
        f"memory of `skyops follow` after {passes} passes",
        f"{used[-1]:.0f} MB, started anew {again} times",
        f"after {SETTLED_PASSES}: {used[0]:.0f} MB",
        f"{used[-1] / used[0]:.2f}",
    )


@contextmanager
def _service(warehouse: Warehouse, command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of SkyOps on a warehouse, and what it says."""
    from skyops_assets.runtime import environment
    from skyops_assets.settings import load_settings

    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "skyops"), command],
            stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | environment(load_settings(), warehouse),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


class Follow:
    """`skyops follow`, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def passes(self, at_least: int = 0) -> int:
        """How many it has made, once there are so many."""
        self.until(lambda: self.log.read_text().count("models ") >= at_least)
        return self.log.read_text().count("models ")

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that it does."""
        patience = time.monotonic() + 300
        while not is_so():
            assert time.monotonic() < patience, self.log.read_text()
            time.sleep(0.1)


@contextmanager
def _followed(
    aircraft: int, minutes: int, seconds: int, airports: tuple[str, ...] = AIRPORTS
) -> Iterator[tuple[Warehouse, Path, Follow, Traffic]]:
    """A warehouse with the positions of some minutes, built, and `skyops follow` on it.

    Args:
        seconds: of traffic after that.
    """
    os.environ["SKYOPS_WATCH_AIRPORTS"] = ",".join(WATCHED)
    with tempfile.TemporaryDirectory() as name, scratch() as warehouse:
        load_reference(warehouse)
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)
        traffic = Traffic(aircraft, minutes * 60 + seconds, start, airports)
        load(warehouse, traffic.between(-100_000, minutes * 60))
        dbt(warehouse, Path(name), *build_arguments())
        log = Path(name) / "follow.log"
        with _service(warehouse, "follow", log) as process:
            yield warehouse, Path(name), Follow(process, log), traffic


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    modes = {"--live": measure_live, "--memory": measure_memory}
    for row in next((modes[one] for one in modes if one in sys.argv), measure)(*numbers):
        print(" | ".join(row))
