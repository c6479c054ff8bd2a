"""No feature knows what came later: cut the raw data, and features from before are equal."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import Databases, Dbt

from skyops_assets.history import load, source
from skyops_assets.opensky.load import load_states
from skyops_assets.opensky.recordings import (
    DEMO_END,
    DEMO_START,
    Recording,
    demo_recording,
    read_recording,
)
from skyops_assets.settings import Settings
from skyops_assets.warehouse import reference
from skyops_assets.warehouse.server import Warehouse

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.xdist_group("dbt"),
    pytest.mark.usefixtures("manifest"),
]

Query = Callable[..., list[tuple[Any, ...]]]
CUTS = 3
DAYS = [date(2019, 3, day) for day in range(4, 8)]
RINGS = (40, 50, 100)
HISTORY_START = datetime(2019, 3, 4, tzinfo=UTC)


@pytest.fixture
def warehouses(databases: Databases) -> Iterator[list[Warehouse]]:
    """Warehouses that know the airports: the first for all data, then one a cut."""
    found = [databases.new() for _ in range(1 + CUTS)]
    for warehouse in found:
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    yield found
    for warehouse in found:
        databases.drop(warehouse)


def load_history(warehouse: Warehouse, mirror: Path) -> None:
    for day in DAYS:
        load.load_file(warehouse, source.history_file("LSZH", day), Settings(data_mirror=mirror))


def forget_history(query: Query, warehouse: Warehouse, cut: datetime, luck: random.Random) -> None:
    """What was not known at the cut goes: later crossings, and when those under way will land.

    The source has only flights that landed, so one under way stays, with another landing.
    """
    query(warehouse, "delete from raw.arrivals_history where least("
          + ", ".join(f"ring_{ring}nm_crossed_at" for ring in RINGS) + ") >= %s", cut)  # fmt: skip
    for ring in RINGS:
        query(
            warehouse,
            f"update raw.arrivals_history set ring_{ring}nm_crossed_at = null "
            f"where ring_{ring}nm_crossed_at >= %s",
            cut,
        )
    query(
        warehouse,
        "update raw.arrivals_history set landed_at = %s + random() * interval '1 hour', "
        "runway = %s where landed_at >= %s",
        cut, luck.choice(("14", "28", None)), cut,
    )  # fmt: skip


def test_features_from_before_a_cut_equal_those_from_all_data(
    warehouses: list[Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query, mirror: Path
) -> None:
    luck = random.Random(23)
    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    whole, *cut_ones = warehouses
    load_states(whole, Recording("paris", states, states))
    load_history(whole, mirror)
    dbt_of(whole)("run")
    for warehouse in cut_ones:
        # The two sources lie years apart: each is cut at a moment of its own.
        at = DEMO_START + (DEMO_END - DEMO_START) * luck.uniform(0.3, 0.95)
        before = states.filter(pc.less(states["time_position"], pa.scalar(at)))
        load_states(warehouse, Recording("paris", before, before))
        history_at = HISTORY_START + timedelta(hours=luck.uniform(8, 90))
        load_history(warehouse, mirror)
        forget_history(query, warehouse, history_at, luck)
        dbt_of(warehouse)("run")
        for table, cut, least in (
            ("features.crossing_features", at, 50),
            ("features.history_crossing_features", history_at, 200),
        ):
            statement = f"select to_jsonb(t)::text from {table} as t where known_at < %s order by 1"
            found, expected = (query(w, statement, cut) for w in (warehouse, whole))
            assert len(found) > least, (table, cut)
            assert found == expected, (table, cut)
