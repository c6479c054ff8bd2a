"""State vectors and recordings for tests: a good row, changed where a test needs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.sources.opensky.schema import STATE_VECTOR

NULLABLE = pa.schema([field.with_nullable(True) for field in STATE_VECTOR])

GOOD: dict[str, Any] = {
    "icao24": "3c6444",
    "callsign": "DLH9CK",
    "origin_country": "Germany",
    "time_position": datetime(2021, 10, 7, 12, 0, tzinfo=UTC),
    "last_contact": datetime(2021, 10, 7, 12, 0, tzinfo=UTC),
    "longitude_deg": 2.55,
    "latitude_deg": 49.01,
    "baro_altitude_m": 1200.0,
    "is_on_ground": False,
    "velocity_mps": 80.0,
    "true_track_deg": 265.0,
    "vertical_rate_mps": -3.5,
    "geo_altitude_m": 1230.0,
    "squawk": "0021",
    "is_spi": False,
    "position_source": 0,
    "category": 4,
}


def state(**changes: Any) -> dict[str, Any]:
    """A state vector that is fine but for what is changed."""
    return {**GOOD, **changes}


def states(*rows: dict[str, Any]) -> pa.Table:
    """State vectors as the loader takes them."""
    return pa.Table.from_pylist(list(rows), schema=NULLABLE)


def recording(*rows: dict[str, Any], source: str = "test") -> Recording:
    """A recording whose rows as read are its state vectors."""
    table = states(*rows)
    return Recording(source, table, table)


def seconds(number: int, start: datetime = DEMO_START, **changes: Any) -> list[dict[str, Any]]:
    """So many good state vectors of one aircraft, one a second."""
    return [state(time_position=start + timedelta(seconds=i), **changes) for i in range(number)]


def is_nearer(position: datetime, one: datetime | None, other: datetime | None) -> bool:
    """Whether the contact of one row tells more exactly of a position than another's."""
    if one is None or other is None:
        return one is not None and other is None
    return (abs(one - position), other) < (abs(other - position), one)


def with_address(rows: pa.Table, icao24: str) -> pa.Table:
    """The same rows, sent with another address."""
    column = rows.schema.get_field_index("icao24")
    addresses = pa.array([icao24] * len(rows), pa.string())
    return rows.set_column(column, rows.schema.field(column), addresses)


def turns(rows: pa.Table, turn_s: int, parity: int) -> pa.ChunkedArray:
    """Whether a row is of this one's turn, of two that send for so many seconds each."""
    at = rows["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    return pc.equal(pc.bit_wise_and(pc.divide(at, turn_s), 1), parity)


def traffic_row(**changes: Any) -> dict[str, Any]:
    """A row of a `traffic`-style recording in the demo's first minute."""
    return {
        "icao24": "3c6444",
        "callsign": "DLH9CK",
        "timestamp": int(DEMO_START.timestamp() * 1000),
        "latitude": 49.01,
        "longitude": 2.55,
        "altitude": 4000,
        "groundspeed": 160,
        "track": 265,
        "vertical_rate": -700,
        "squawk": "0021",
        "onground": False,
        **changes,
    }


def write_recording(path: Path, *rows: dict[str, Any]) -> Path:
    """A recording on disk."""
    path.write_text(json.dumps(list(rows)))
    return path
