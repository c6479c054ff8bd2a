"""The dbt models, measured: increments of 1, 2 and 4 million positions, empty and small ones.

`skyops exec -- python -m benchmarks.transform [ROWS]` runs only this. The positions are the Paris
recording again and again, later and by other aircraft, so that the watched airports see arrivals as
they do there. One warehouse grows: what is measured first has a tenth of the history that is there
at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.storage import Row, scratch, shifted, show, write_recording

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

ROUNDS = 2
ROWS = 1_000_000
TRAFFIC = ("traffic==2.13", "pandas<3")
ALLOWED_SQL_S, ALLOWED_EMPTY_S = 40, 20
LIVE_MIN, LIVE_AIRCRAFT = 10, 300
AS_TRAFFIC = (
    "stg_opensky__states",
    "stg_reference__airports",
    "stg_reference__runway_ends",
    "int_flights__segmented",
    "int_positions__phased",
    "int_positions__sampled_10s",
    "int_movements__",
    "fct_movements",
    "fct_flights",
    "on-run-",
)
"""Nodes that tell what `traffic` is asked for, and all that these read (docs/transform.md)."""


@dataclass(frozen=True)
class Run:
    """One run of dbt.

    Attributes:
        wall_s: with dbt's start.
        sql_s: the times of all models (and tests, where they ran) and of both hooks, added up.
        nodes: the seconds of each.
    """

    wall_s: float
    sql_s: float
    nodes: dict[str, float]


class Feed:
    """The recording without an end: each `take` goes on where the one before stopped."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as file:
            self.once = pa.ipc.open_file(file).read_all().sort_by("time_position")
        self.number = 0
        self.place = 0

    def take(self, rows: int) -> pa.Table:
        """The next rows, in the order of time."""
        parts = []
        while rows:
            part = self.once.slice(self.place, rows)
            parts.append(shifted(part, self.number))
            rows -= len(part)
            self.place += len(part)
            if self.place == len(self.once):
                self.number, self.place = self.number + 1, 0
        return pa.concat_tables(parts)

    def live(self) -> pa.Table:
        """The next ten minutes of some hundred aircraft."""
        start = self.once["time_position"][self.place].as_py()
        ends = pc.less(self.once["time_position"], pa.scalar(start + timedelta(minutes=LIVE_MIN)))
        part = self.take(int(pc.sum(ends).as_py()) - self.place)
        some = pc.unique(part["icao24"])[:LIVE_AIRCRAFT]
        return part.filter(pc.is_in(part["icao24"], some))


def measure(rows: int = ROWS) -> Iterator[Row]:
    """Rows of the benchmark's table.

    Args:
        rows: of the first increment; the others have two and four times as many.
    """
    steps = (rows, 2 * rows, 4 * rows)
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        path = Path(folder) / "recording.arrow"
        write_recording(path)
        feed = Feed(path)
        load_reference(warehouse)
        # A tenth of what is there after the steps.
        load(warehouse, feed.take(sum(steps) // 9))
        # Twice: what was near the latest position is settled by the second.
        for _ in range(2):
            dbt(warehouse, Path(folder), "build")
        before = small_runs(warehouse, Path(folder), feed)
        runs = []
        for new in steps:
            held = stored(warehouse)
            load(warehouse, feed.take(new))
            runs.append(dbt(warehouse, Path(folder), "run"))
            explain(f"{new:,} more", runs[-1])
            linear_s = runs[0].sql_s * new / rows
            allowed_s = ALLOWED_SQL_S * new / ROWS
            yield (
                f"all models, {new:,} positions upon {held:,}",
                f"{runs[-1].sql_s:.1f} s of SQL ({runs[-1].wall_s:.1f} s in all)",
                f"allowed {allowed_s:g} s; linear {linear_s:.1f} s",
                f"{runs[-1].sql_s / linear_s:.2f}",
            )
            if new == rows:
                yield by_traffic(Path(folder), path, new, runs[-1])
        after = small_runs(warehouse, Path(folder), feed)
        for name, short in before.items():
            long = after[name]
            yield (
                f"{name}, ten times the history",
                f"{long:.2f} s",
                f"before: {short:.2f} s; growth {100 * (long / short - 1):.0f} %",
                f"{long / short:.2f}",
            )


def small_runs(warehouse: Warehouse, folder: Path, feed: Feed) -> dict[str, float]:
    """The best of some rounds of `run` and `build`, with nothing new and with ten minutes."""
    from skyops_assets.transform.dbt import build_arguments

    best: dict[str, float] = {}

    def keep(name: str, value: float) -> None:
        best[name] = min(value, best.get(name, value))

    dbt(warehouse, folder, *build_arguments())
    for _ in range(ROUNDS):
        for arguments in (["run"], build_arguments()):
            run = dbt(warehouse, folder, *arguments)
            keep(f"nothing new, dbt {arguments[0]}", run.wall_s)
            keep(f"nothing new, dbt {arguments[0]}, SQL", run.sql_s)
        for arguments in (["run"], build_arguments()):
            load(warehouse, feed.live())
            run = dbt(warehouse, folder, *arguments)
            explain(f"live {arguments[0]}", run)
            keep(f"{LIVE_MIN} min of {LIVE_AIRCRAFT} aircraft, dbt {arguments[0]}", run.wall_s)
            keep(f"{LIVE_MIN} min of {LIVE_AIRCRAFT} aircraft, dbt {arguments[0]}, SQL", run.sql_s)
    return best


def by_traffic(folder: Path, recording: Path, rows: int, ours: Run) -> Row:
    """What the models tell by traffic, and by the models that tell it; docs/transform.md says how.

    traffic gets every third aircraft of the recording, one process, and no clock while it reads;
    the models' time has reading and storing in it.
    """
    import pandas as pd

    from skyops_assets.settings import load_settings
    from skyops_assets.sources import reference
    from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS

    what = "the same by traffic 2.13"
    settings = load_settings()
    python = settings.home / "traffic" / "bin" / "python"
    try:
        if not python.exists():
            _quietly(sys.executable, "-m", "venv", settings.home / "traffic")
            _quietly(python, "-m", "pip", "install", *TRAFFIC)
    except subprocess.CalledProcessError as error:
        import shutil

        shutil.rmtree(settings.home / "traffic", ignore_errors=True)
        return (what, "not measured", f"it cannot be installed: {error}", "-")
    with pa.memory_map(str(recording)) as file:
        states = pa.ipc.open_file(file).read_all().to_pandas()
    states = states[states["icao24"].isin(sorted(states["icao24"].unique())[::3])]
    pd.DataFrame({
        "timestamp": states["time_position"],
        "icao24": states["icao24"],
        "callsign": states["callsign"].fillna(""),
        "latitude": states["latitude_deg"],
        "longitude": states["longitude_deg"],
        "altitude": states["baro_altitude_m"] / FOOT_M,
        "groundspeed": states["velocity_mps"] / KNOT_MPS,
        "track": states["true_track_deg"],
        "vertical_rate": states["vertical_rate_mps"] / FOOT_PER_MINUTE_MPS,
    }).to_parquet(folder / "positions.parquet")  # fmt: skip
    # Its caches are filled with the warehouse's airports and runways: it would fetch them.
    places = reference.airports().to_pandas()
    places = places.rename(columns=lambda name: name.removesuffix("_deg"))
    places["altitude"] = places["elevation_m"] / FOOT_M
    places.to_parquet(folder / "airports_ourairports.parquet")
    ends = reference.runways(settings).to_pandas().rename(columns={"airport": "airport_ident"})
    ends.to_parquet(folder / "runways_ourairports.parquet")
    found = subprocess.run(
        [python, Path(__file__).with_name("by_traffic.py"), folder / "positions.parquet"],
        env={**os.environ, "PYTHONPATH": "", "TRAFFIC_CACHE_PATH": str(folder),
             "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    theirs = json.loads(found.stdout)
    theirs_s = theirs["seconds"] * rows / theirs["rows"]
    ours_s = sum(
        spent for name, spent in ours.nodes.items() if any(part in name for part in AS_TRAFFIC)
    )
    if "--plans" in sys.argv:
        print(f"traffic: {theirs}\n", flush=True)
    return (
        f"flights, phases, airports and movements of {rows:,} positions",
        f"{rows / ours_s:,.0f} rows/s of SQL",
        f"{what}: {theirs['rows'] / theirs['seconds']:,.0f} rows/s ({theirs['rows']:,} rows, "
        f"{theirs['found']['flights']} flights)",
        f"{theirs_s / ours_s:.1f} times as fast",
    )


def _quietly(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def stored(warehouse: Warehouse) -> int:
    """How many positions the warehouse holds."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from raw.opensky_states")
        return int(cursor.fetchone()[0])


def load(warehouse: Warehouse, states: pa.Table) -> None:
    """Load positions as one batch."""
    from skyops_assets.sources.opensky.loading.states import load_states
    from skyops_assets.sources.opensky.reading.recording import Recording

    load_states(warehouse, Recording("bench", states, states))


def load_reference(warehouse: Warehouse) -> None:
    """The world's airports and runways."""
    from skyops_assets.settings import load_settings
    from skyops_assets.sources import reference

    for name, rows in (
        ("airports", reference.airports()),
        ("runways", reference.runways(load_settings())),
    ):
        reference.replace_reference(warehouse, f"raw.{name}", name, rows)


def dbt(warehouse: Warehouse, folder: Path, *arguments: str) -> Run:
    """Run `skyops-dbt` on the warehouse, as a run of the graph does."""
    from skyops_assets.runtime import environment
    from skyops_assets.settings import load_settings
    from skyops_assets.transform.dbt import DBT_PROJECT

    variables = {
        **os.environ,
        **environment(load_settings(), warehouse),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).parent / "skyops-dbt"), "--quiet", *arguments],
        cwd=DBT_PROJECT, env=variables, check=True,
    )  # fmt: skip
    wall_s = time.perf_counter() - began
    if "run" in arguments:
        _call_tested(warehouse)
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    nodes = {result["unique_id"]: float(result["execution_time"]) for result in results}
    return Run(wall_s, sum(nodes.values()), nodes)


def _call_tested(warehouse: Warehouse) -> None:
    """The next run is not to rebuild what this one left for tests."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("truncate audit.pending_ranges, audit.pending_hours")


def explain(what: str, run: Run) -> None:
    """With ``--plans``: the dearest parts of a run."""
    if "--plans" in sys.argv:
        print(f"\n{what}: {run.sql_s:.1f} s of SQL, {run.wall_s:.1f} s in all")
        for name, spent in sorted(run.nodes.items(), key=lambda item: -item[1])[:12]:
            print(f"  {spent:7.2f} {name}")
        print(flush=True)


def main() -> None:
    """This table alone; a number of rows makes it quicker."""
    show(measure(*(int(argument) for argument in sys.argv[1:] if argument.isdigit())))


if __name__ == "__main__":
    main()
