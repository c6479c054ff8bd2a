"""Models that follow the data: after any cuts of it they equal what a full refresh makes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import Databases, short_dir
from states import recording, seconds

from skyops_assets.opensky.load import load_states
from skyops_assets.opensky.recordings import (
    DEMO_END,
    DEMO_START,
    Recording,
    demo_recording,
    read_recording,
)
from skyops_assets.runtime import environment
from skyops_assets.settings import Settings
from skyops_assets.warehouse import reference
from skyops_assets.warehouse.server import Warehouse

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

Query = Callable[..., list[tuple[Any, ...]]]
Dbt = Callable[..., str]
MODELS = (
    "staging.stg_opensky__states",
    "intermediate.int_flights__segmented",
    "intermediate.int_positions__phased",
    "intermediate.int_movements__moments",
    "intermediate.int_movements__located",
    "intermediate.int_positions__sampled_10s",
    "intermediate.int_flights__ring_entries",
    "intermediate.int_arrivals__paired",
    "metrics.fct_flights",
    "metrics.fct_movements",
    "metrics.fct_ring_crossings",
    "metrics.fct_arrivals",
    "metrics.phase_counts_1m",
    "features.crossing_features",
    "features.arrival_features",
)


@pytest.fixture(scope="module")
def dbt_of() -> Iterator[Callable[[Warehouse], Dbt]]:
    """Run `skyops-dbt` on a warehouse, as a run of the graph does."""
    folder = short_dir()

    def on(warehouse: Warehouse) -> Dbt:
        target = folder / str(warehouse.url.database)
        variables = {
            **os.environ,
            **environment(Settings(home=folder), warehouse),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
        }

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [str(Path(sys.executable).parent / "skyops-dbt"), *arguments],
                cwd=Path(__file__).parents[2] / "dbt_project",
                env=variables, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        return run

    try:
        yield on
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def twins(databases: Databases) -> Iterator[tuple[Warehouse, Warehouse]]:
    """Two warehouses that know the airports: one to be fed in cuts, one at once."""
    found = databases.new(), databases.new()
    rows = reference.airports()
    near = rows.filter(
        pc.and_(
            pc.less(pc.abs(pc.subtract(rows["latitude_deg"], 49.0)), 3.0),
            pc.less(pc.abs(pc.subtract(rows["longitude_deg"], 2.5)), 4.0),
        )
    )
    for warehouse in found:
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", near)
    yield found
    for warehouse in found:
        databases.drop(warehouse)


def contents(query: Query, warehouse: Warehouse) -> dict[str, list[str]]:
    """The rows of every model as text; the batch a row came with is no part of it."""
    return {
        model: [
            row[0]
            for row in query(
                warehouse, f"select (to_jsonb(t) - 'batch_id')::text from {model} as t order by 1"
            )
        ]
        for model in MODELS
    }


def paris(number: int) -> pa.Table:
    """The state vectors of some aircraft of the demo's recording."""
    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    addresses = sorted(pc.unique(states["icao24"]).to_pylist())
    chosen = random.Random(3).sample(addresses, number)
    return states.filter(pc.is_in(states["icao24"], pa.array(chosen)))


def test_random_cuts_with_late_rows_equal_a_full_refresh(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    fed, whole = twins
    states = paris(60)
    luck = random.Random(11)
    # Three steps of time; of each some rows, and stretches of aircraft, come a step or two late.
    times = states["time_position"].to_pylist()
    addresses = states["icao24"].to_pylist()
    late = {
        (address, minute // 7): luck.choice((1, 2))
        for address in set(addresses)
        for minute in range(180)
        if luck.random() < 0.03
    }
    span = (DEMO_END - DEMO_START) / 3
    steps = []
    for at, address in zip(times, addresses, strict=True):
        step = (at - DEMO_START) // span
        step += late.get((address, int((at - DEMO_START) / timedelta(minutes=1)) // 7), 0)
        steps.append(step + (luck.random() < 0.001))
    run = dbt_of(fed)
    for step in sorted(set(steps)):
        part = states.filter(pa.array([one == step for one in steps]))
        load_states(fed, Recording("paris", part, part))
        run("build", "--exclude-resource-type", "unit_test")
    load_states(whole, Recording("paris", states, states))
    dbt_of(whole)("run")
    found, expected = contents(query, fed), contents(query, whole)
    assert {m: len(rows) for m, rows in found.items()} == {
        m: len(rows) for m, rows in expected.items()
    }
    for model in MODELS:
        assert found[model] == expected[model], model
    assert all(len(rows) > 10 for model, rows in expected.items())
    waiting = query(fed, "select count(*) from raw.ingest_batches where transformed_at is null "
                    "and target = 'raw.opensky_states'")  # fmt: skip
    assert waiting == [(0,)]


def test_only_what_was_touched_is_made_anew(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    hours = [DEMO_START + timedelta(hours=n) for n in range(3)]
    rows = [row for hour in hours for row in seconds(30, hour)]
    others = [{**row, "icao24": "4b1817"} for row in rows]
    load_states(warehouse, recording(*rows, *others))
    run("run")
    marks = "select flight_id, xmin::text from metrics.fct_flights order by 1"
    before = dict(query(warehouse, marks))
    assert len(before) == 6
    # Nothing new: nothing is written.
    run("run")
    assert dict(query(warehouse, marks)) == before
    # A late row within the first aircraft's second flight: that one is made anew, and those that
    # still are near the latest position.
    late = DEMO_START + timedelta(hours=1, seconds=35)
    load_states(warehouse, recording(*seconds(1, late, longitude_deg=2.56)))
    run("run")
    after = dict(query(warehouse, marks))
    changed = {flight for flight in after if after[flight] != before.get(flight)}
    assert changed == {
        "3c6444_20211007T130000Z", "3c6444_20211007T140000Z", "4b1817_20211007T140000Z",
    }  # fmt: skip
    assert query(
        warehouse, "select last_seen_at from metrics.fct_flights where flight_id = %s",
        "3c6444_20211007T130000Z",
    ) == [(late,)]  # fmt: skip


def test_a_run_that_failed_or_chose_some_models_is_made_up_for(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    load_states(warehouse, recording(*seconds(30)))
    run("run")
    load_states(warehouse, recording(*seconds(30, DEMO_START + timedelta(hours=1))))
    run("run", "--select", "stg_opensky__states")
    count = "select count(*) from metrics.fct_flights"
    assert query(warehouse, count) == [(1,)]
    run("run")
    assert query(warehouse, count) == [(2,)]


def test_other_airports_make_everything_anew(
    twins: tuple[Warehouse, Warehouse],
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    load_states(warehouse, recording(*seconds(30)))
    run("run")
    state = "select fingerprint from audit.transform_state"
    first = query(warehouse, state)
    rows = reference.airports()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", rows)
    run("run")
    assert query(warehouse, state) != first
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(True,)]
    run("run")
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(False,)]
    # With positions dropped by retention the tables stay, for they could not be made again.
    query(
        warehouse,
        "insert into raw.dropped_partitions (target, day, row_count) "
        "values ('raw.opensky_states', '2021-10-01', 5)",
    )
    query(warehouse, "delete from raw.airports where icao = 'LFPG'")
    run("run")
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(False,)]
