"""The state vector: its columns, units and the limits of what can be true.

Belongs here: the one definition of a row of ``raw.opensky_states`` and why a row is
rejected. Does not: reading a format (`recordings`) or writing rows (`load`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC_TIME = pa.timestamp("us", tz="UTC")

STATE_VECTOR = pa.schema(
    [
        pa.field("icao24", pa.string(), nullable=False),
        pa.field("callsign", pa.string()),
        pa.field("origin_country", pa.string()),
        pa.field("time_position", UTC_TIME, nullable=False),
        pa.field("last_contact", UTC_TIME),
        pa.field("longitude_deg", pa.float64(), nullable=False),
        pa.field("latitude_deg", pa.float64(), nullable=False),
        pa.field("baro_altitude_m", pa.float64()),
        pa.field("is_on_ground", pa.bool_()),
        pa.field("velocity_mps", pa.float64()),
        pa.field("true_track_deg", pa.float64()),
        pa.field("vertical_rate_mps", pa.float64()),
        pa.field("geo_altitude_m", pa.float64()),
        pa.field("squawk", pa.string()),
        pa.field("is_spi", pa.bool_()),
        pa.field("position_source", pa.int16()),
        pa.field("category", pa.int16()),
    ]
)
"""Columns of a state vector in SI units, in the order of OpenSky's REST response
(https://openskynetwork.github.io/opensky-api/rest.html)."""

LIMITS: dict[str, tuple[float, float]] = {
    "longitude_deg": (-180, 180),
    "latitude_deg": (-90, 90),
    # 100,000 ft: above every balloon that transmits; recordings hold values of 123,100 ft.
    "baro_altitude_m": (-1_500, 30_480),
    "geo_altitude_m": (-1_500, 30_480),
    # 1,361 kt: nothing civil comes near; recordings hold 4,746 kt.
    "velocity_mps": (0, 700),
    "true_track_deg": (0, 360),
    # 29,500 ft/min; recordings hold 32,600 ft/min.
    "vertical_rate_mps": (-150, 150),
}
"""What a value can be, both ends included. Outside, the row is rejected whole: a receiver
that decoded one field wrongly cannot be trusted with the others."""


def _checks(table: pa.Table) -> Iterator[tuple[pa.ChunkedArray, str]]:
    """Masks of what is wrong and its reason, the most basic first."""
    yield (
        pc.invert(pc.fill_null(pc.match_substring_regex(table["icao24"], "^[0-9a-f]{6}$"), False)),
        "icao24 is not six hexadecimal digits",
    )
    yield pc.is_null(table["time_position"]), "no time of position"
    no_position = pc.or_(
        pc.is_null(table["latitude_deg"], nan_is_null=True),
        pc.is_null(table["longitude_deg"], nan_is_null=True),
    )
    yield no_position, "no position"
    at_null_island = pc.and_(
        pc.equal(table["latitude_deg"], 0.0), pc.equal(table["longitude_deg"], 0.0)
    )
    yield at_null_island, "position is 0, 0"
    # A latitude that only a longitude can be, beside a longitude that can be a latitude.
    latitude, longitude = pc.abs(table["latitude_deg"]), pc.abs(table["longitude_deg"])
    swapped = pc.and_(pc.greater(latitude, 90), pc.less_equal(latitude, 180))
    swapped = pc.and_(swapped, pc.less_equal(longitude, 90))
    yield swapped, "latitude and longitude look swapped"
    for name, (low, high) in LIMITS.items():
        outside = pc.or_(pc.less(table[name], low), pc.greater(table[name], high))
        yield outside, f"{name} outside {low:g} to {high:g}"


def rejection_reasons(table: pa.Table) -> pa.ChunkedArray:
    """Why each row cannot be a state vector.

    Args:
        table: columns of `STATE_VECTOR`, any number of rows.

    Returns:
        One string a row: the first reason that applies, or null for a good row.
    """
    reasons = pa.chunked_array([pa.nulls(len(table), pa.string())])
    for mask, reason in _checks(table):
        bad = pc.and_(pc.fill_null(mask, False), pc.is_null(reasons))
        reasons = pc.if_else(bad, reason, reasons)
    return reasons
