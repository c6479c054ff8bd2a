"""Where two real fields are about as good, none is named: flights over Paris, cut short."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

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
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

LEFT_BOURGET = "3992f1"
CLIMBING_AT = datetime(2021, 10, 7, 13, 13, 53, tzinfo=UTC)
"""Half a minute after its take-off at LFPB, in the turn towards LFPG."""
FOR_DE_GAULLE = "3985a9"
APPROACHING_AT = datetime(2021, 10, 7, 13, 37, 27, tzinfo=UTC)
"""12 km before LFPG, 2 km beside LFPB."""


def reasons(warehouse: Warehouse, query: Query) -> dict[str, tuple[Any, ...]]:
    rows = query(
        warehouse,
        "select icao24, departure_airport, departure_airport_reason, arrival_airport, "
        "arrival_airport_reason from metrics.fct_flights where position_count > 60",
    )
    return {row[0]: row[1:] for row in rows}


def test_a_flight_cut_short_between_two_fields_is_ambiguous(
    databases: Databases, dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """Without runway data. Heard to the end, both are told."""
    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    both = states.filter(pc.is_in(states["icao24"], pa.array([LEFT_BOURGET, FOR_DE_GAULLE])))
    times, is_first = both["time_position"], pc.equal(both["icao24"], LEFT_BOURGET)
    cut = both.filter(
        pc.if_else(
            is_first,
            pc.greater(times, pa.scalar(CLIMBING_AT)),
            pc.less(times, pa.scalar(APPROACHING_AT)),
        )
    )
    # Somebody who is heard to the end: the others are silent, and not still flying.
    others = states.filter(pc.equal(states["icao24"], states["icao24"][-1]))
    found = {}
    for name, tracks in (("whole", both), ("cut", cut)):
        part = pa.concat_tables([tracks, others])
        warehouse = databases.new()
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
        load_states(warehouse, Recording("paris", part, part))
        dbt_of(warehouse)("run", "--select", "+fct_flights")
        found[name] = reasons(warehouse, query)
        located = query(
            warehouse,
            "select count(*) from intermediate.int_movements__located where airport is null",
        )
        assert located == [(2 if name == "cut" else 0,)], name
        databases.drop(warehouse)
    assert found["whole"][LEFT_BOURGET][:2] == ("LFPB", "ground_contact")
    assert found["whole"][FOR_DE_GAULLE][2:] == ("LFPG", "signal_lost")
    assert found["cut"][LEFT_BOURGET][:2] == (None, "ambiguous")
    assert found["cut"][FOR_DE_GAULLE][2:] == (None, "ambiguous")
