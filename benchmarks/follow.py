"""A pass of the live lane, measured: simulated aircraft, an answer every ten seconds.

`skyops exec -- python -m benchmarks.follow [AIRCRAFT] [MINUTES]` runs only this. Positions of the
minutes before are loaded and built at once; then each pass gets the next answer, as `skyops follow`
runs it: the models that are not hourly, by one dbt process that has parsed the project.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
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

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

AIRPORTS = ("EHAM", "LFPG", "LSZH", "LEMD", "KDEN", "KABQ", "KASE", "MMMX")
WATCHED = ("EHAM", "LSZH", "LFPG")
START = datetime(2024, 1, 31, tzinfo=UTC)
FLIGHTS, ANSWER_S, PASSES = 400, 10, 12


class Traffic:
    """Simulated flights over and over, so that always about as many aircraft are heard.

    Each copy of a flight has an address and a start of its own, and is heard once in an answer.
    """

    def __init__(self, aircraft: int, seconds: int) -> None:
        flights = _flights()
        lasting_s = float(np.mean([len(one) for one in flights])) * ANSWER_S
        copies = int(aircraft * (seconds + lasting_s) / lasting_s)
        luck = np.random.default_rng(1)
        starts = luck.integers(-int(lasting_s), seconds, copies)
        parts = []
        for number, start in enumerate(starts):
            flight = flights[number % len(flights)]
            at = pa.array(np.int64(START.timestamp()) + start + np.arange(len(flight)) * ANSWER_S)
            parts.append(
                _with(flight, time_position=at.cast(pa.timestamp("s", "UTC")),
                      icao24=pa.array([f"{0x400000 + number:06x}"] * len(flight)))
            )  # fmt: skip
        self.states = pa.concat_tables(parts).sort_by("time_position")
        seconds_since = pc.subtract(
            self.states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()),
            int(START.timestamp()),
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


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    for row in measure(*numbers):
        print(" | ".join(row))
