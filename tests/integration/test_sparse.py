"""Landings from sparse feeds: the demo's recording, as an anonymous user's credits show it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.dbt import Dbt
from validation.sparse import landings_of, matched, peer_landings, thinned

pytestmark = [
    pytest.mark.xdist_group("transform"),
    pytest.mark.usefixtures("manifest"),
    pytest.mark.mirror,
]

Dbts = Callable[[Warehouse], Dbt]


@pytest.fixture(scope="module")
def recorded() -> pa.Table:
    return read_recording(demo_recording(), DEMO_START, DEMO_END).states


@pytest.mark.parametrize("case", [(30, 15, 97), (205, 0, 75), (205, 100, 75)])
def test_a_sparse_feed_has_its_landings(
    warehouse: Warehouse, dbt_of: Dbts, query: Query, recorded: pa.Table, case: tuple[int, int, int]
) -> None:
    """One vector in so many seconds, from this one on: so many of the peer's 98 are found."""
    step_s, phase_s, least = case
    rows = thinned(recorded, step_s, phase_s)
    load_states(warehouse, Recording("test", rows, rows))
    mirror = Path(os.environ["SKYOPS_DATA_MIRROR"])
    settings = Settings(data_mirror=mirror)
    for name, table in (
        ("airports", reference.airports()),
        ("runways", reference.runways(settings)),
    ):
        reference.replace_reference(warehouse, f"raw.{name}", name, table)
    dbt_of(warehouse)("run", "--select", "+fct_flights", "+fct_movements")
    landings = landings_of(warehouse)
    pairs = matched(landings, peer_landings(mirror))
    assert len(pairs) >= least
    # F-HMAC's landing at LFOX, which the peer does not have (docs/validation.md).
    assert len(landings) - len(pairs) <= 1
    assert (pairs["runway"] == pairs["rwy"]).mean() >= 0.97
    if step_s > 120:
        assert set(pairs["label_quality"]) <= {"estimated", "provisional"}
    assert query(
        warehouse,
        "select count(*) from metrics.fct_movements "
        "where (runway is null) <> (runway_reason is not null)",
    ) == [(0,)]
