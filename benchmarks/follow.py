"""The live lane, measured: simulated aircraft, an answer every ten seconds.

`skyops exec -- python -m benchmarks.follow [AIRCRAFT] [MINUTES]` runs only this. Positions of the
minutes before are loaded and built at once; then passes are run one by one with an answer each, as
`skyops follow` runs them, and their models can be told apart (`--plans`). With `--live` answers
come by the clock and `skyops follow` works beside them: told is the time from an answer's last byte
to its newest position in `live.aircraft`, and to the end of the pass, when crossings are predicted;
with `--build` beside builds of everything. `--memory [PASSES]` tells how the lane's process grows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
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

from benchmarks.storage import Row, scratch
from benchmarks.transform import dbt, load, load_reference
from skyops_assets.transform.dbt import build_arguments

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

AIRPORTS = ("EHAM", "LFPG", "LSZH", "LEMD", "KDEN", "KABQ", "KASE", "MMMX")
WATCHED = ("EHAM", "LSZH", "LFPG")
START = datetime(2024, 1, 31, tzinfo=UTC)
FLIGHTS, ANSWER_S, PASSES, LIVE_ANSWERS, SETTLED_PASSES = 400, 10, 12, 24, 50


class Traffic:
    """Simulated flights over and over, so that always about as many aircraft are heard.

    Each copy of a flight has an address and a start of its own, and is heard once in an answer.
    """

    def __init__(self, aircraft: int, seconds: int, start: datetime = START) -> None:
        self.start_s = int(start.timestamp())
        flights = _flights()
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


def _flights() -> list[pa.Table]:
    """Flights, each as it is heard every ten seconds; rows that were not received are missing."""
    from skyops_assets.simulate.flights import Plan
    from skyops_assets.simulate.reception import Quality
    from skyops_assets.simulate.write import Layout, simulate, write
    from skyops_assets.sources.opensky.reading.recording import by_source
    from skyops_assets.sources.opensky.reading.recordings import iter_recording

    plan = Plan(6, START, 1, AIRPORTS)
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


def measure_live(aircraft: int = 300, minutes: int = 30) -> Iterator[Row]:
    """Rows of the table: answers by the clock, with the collector's writing and `skyops follow`.

    With ``--build`` a build of everything, with its tests, is under way all the time.

    Args:
        aircraft: heard at the same time.
        minutes: of positions before the first answer.
    """
    from skyops_assets.sources.opensky.live.client import Response
    from skyops_assets.sources.opensky.live.poll import write_response

    with _followed(aircraft, minutes) as (warehouse, folder, lane, traffic):
        start = datetime.fromtimestamp(traffic.start_s, UTC)
        at = int((datetime.now(UTC) - start).total_seconds())
        load(warehouse, traffic.between(minutes * 60, at))
        lane.passes(1)
        shown_s, whole_s, builds = [], [], Builds(warehouse, folder)
        for _ in range(LIVE_ANSWERS):
            if "--build" in sys.argv:
                builds.keep_going()
            next_at = at + ANSWER_S
            time.sleep(max(0.0, next_at - (datetime.now(UTC) - start).total_seconds()))
            new = traffic.between(at, next_at)
            at = next_at
            body = _answer(new, traffic.start_s + at)
            passes = lane.passes()
            began = time.monotonic()
            write_response(warehouse, Response(body, datetime.now(UTC), 200, None, 1))
            newest = new["time_position"][-1].as_py()
            lane.until(lambda newest=newest: _shown(warehouse) >= newest)
            shown_s.append(time.monotonic() - began)
            lane.passes(passes + 1)
            whole_s.append(time.monotonic() - began)
        builds.end()
        for what, took in (("in live.aircraft", shown_s), ("and predicted", whole_s)):
            yield (
                f"an answer of {aircraft:,} aircraft, {what}",
                f"p50 {median(took):.1f} s, p95 {np.quantile(took, 0.95):.1f} s, "
                f"longest {max(took):.1f} s",
                f"{LIVE_ANSWERS} answers, one in {ANSWER_S} s; builds beside them: {builds.ended}",
                "",
            )


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
        again = lane.log.read_text().count("Starting again")
    yield (
        f"memory of `skyops follow` after {passes} passes",
        f"{used[-1]:.0f} MB, started anew {again} times",
        f"after {SETTLED_PASSES}: {used[0]:.0f} MB",
        f"{used[-1] / used[0]:.2f}",
    )


class Follow:
    """`skyops follow` on a warehouse, and what it says."""

    def __init__(self, warehouse: Warehouse, log: Path) -> None:
        from skyops_assets.runtime import environment
        from skyops_assets.settings import load_settings

        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "skyops"), "follow"],
                stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | environment(load_settings(), warehouse),
            )  # fmt: skip

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


class Builds:
    """Builds of everything, one after the other."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self._warehouse, self._folder, self.ended = warehouse, folder, 0
        self._thread: threading.Thread | None = None

    def keep_going(self) -> None:
        """Begin another one where none is under way."""
        if self._thread is None or not self._thread.is_alive():
            self.end()
            arguments = (self._warehouse, self._folder, *build_arguments())
            self._thread = threading.Thread(target=dbt, args=arguments)
            self._thread.start()

    def end(self) -> None:
        """Wait for the one that is under way."""
        if self._thread is not None:
            self._thread.join()
            self.ended += 1


@contextmanager
def _followed(
    aircraft: int, minutes: int, seconds: int = 1800
) -> Iterator[tuple[Warehouse, Path, Follow, Traffic]]:
    """A warehouse with the positions of some minutes, built, and `skyops follow` on it.

    Args:
        seconds: of traffic after that.
    """
    os.environ["SKYOPS_WATCH_AIRPORTS"] = ",".join(WATCHED)
    with tempfile.TemporaryDirectory() as name, scratch() as warehouse:
        load_reference(warehouse)
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)
        traffic = Traffic(aircraft, minutes * 60 + seconds, start)
        load(warehouse, traffic.between(-100_000, minutes * 60))
        dbt(warehouse, Path(name), "run")
        lane = Follow(warehouse, Path(name) / "follow.log")
        try:
            yield warehouse, Path(name), lane, traffic
        finally:
            lane.process.terminate()
            lane.process.wait(60)


def _shown(warehouse: Warehouse) -> datetime:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select max(heard_at) from live.aircraft")
        row = cursor.fetchone()
    return row[0] if row and row[0] else datetime.min.replace(tzinfo=UTC)


def _answer(states: pa.Table, second: int) -> bytes:
    """OpenSky's answer of these positions."""
    rows = [
        [one["icao24"], one["callsign"], "", int(one["time_position"].timestamp()), second,
         one["longitude_deg"], one["latitude_deg"], one["baro_altitude_m"], one["is_on_ground"],
         one["velocity_mps"], one["true_track_deg"], one["vertical_rate_mps"], None,
         one["geo_altitude_m"], one["squawk"], False, 0, 0]
        for one in states.to_pylist()
    ]  # fmt: skip
    return json.dumps({"time": second, "states": rows}).encode()


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    modes = {"--live": measure_live, "--memory": measure_memory}
    for row in next((modes[one] for one in modes if one in sys.argv), measure)(*numbers):
        print(" | ".join(row))
