"""Parts of the demo's recording, as tables of state vectors."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)


@cache
def recorded() -> pa.Table:
    """The state vectors of the demo's recording."""
    return read_recording(demo_recording(), DEMO_START, DEMO_END).states


def paris(number: int) -> pa.Table:
    """The state vectors of some aircraft of the demo's recording."""
    states = recorded()
    addresses = sorted(pc.unique(states["icao24"]).to_pylist())
    chosen = random.Random(3).sample(addresses, number)
    return states.filter(pc.is_in(states["icao24"], pa.array(chosen)))


def circuits() -> pa.Table:
    """Three hours of a real flight that holds and goes around, moved to the hours of the demo."""
    start = datetime(2018, 5, 30, 15, 40, tzinfo=UTC)
    path = demo_recording().parents[1] / "featured" / "belevingsvlucht.json.gz"
    states = read_recording(path, start, start + (DEMO_END - DEMO_START)).states
    column = states.schema.get_field_index("time_position")
    moved = pc.add(states["time_position"], pa.scalar(DEMO_START - start))
    return states.set_column(
        column, states.schema.field(column), moved.cast(states.schema.field(column).type)
    )
