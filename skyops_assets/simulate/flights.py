"""Simulated flights as values: a plan, its flights and movements, the phases they pass through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from skyops_assets.simulate.fields import Field
from skyops_assets.simulate.geometry import (
    Floats,
)

PHASES = ("GROUND", "TAKEOFF", "CLIMB", "LEVEL", "CRUISE", "DESCENT", "APPROACH", "LANDING")
GROUND, TAKEOFF, CLIMB, LEVEL, CRUISE, DESCENT, APPROACH, LANDING = range(8)


DAY_S = 86_400


@dataclass(frozen=True)
class Movement:
    """What a flight did at a runway or in a hold; times are epoch seconds.

    Attributes:
        kind: takeoff, landing, touch_and_go, go_around, holding or rejected_takeoff.
        moved_at: lift-off, touch-down, lowest point of the go-around, entry of the hold, or the
            decision to stop.
        ended_at: of a hold its end, else the same.
    """

    kind: str
    airport: str
    runway: str | None
    moved_at: int
    ended_at: int


@dataclass(frozen=True)
class Flight:
    """One flight, from its first to its last second with a transponder on.

    Attributes:
        kind: airline, inbound or outbound (begins or ends en route), overflight, circuits, taxi
            or rejected_takeoff (the last two never fly).
        departure, arrival: where it leaves the ground and stays on it; None en route.
        off_block_at, on_block_at: begin and end of taxiing; epoch seconds.
        at: epoch seconds, one after the other; the arrays that follow are as long.
        altitude_m: above the sea, in standard pressure and temperature.
        phase: index into `PHASES`.
    """

    key: str
    icao24: str
    is_address_shared: bool
    callsign: str
    aircraft_type: str
    kind: str
    departure: Field | None
    arrival: Field | None
    off_block_at: int | None
    on_block_at: int | None
    movements: tuple[Movement, ...]
    at: NDArray[np.int64]
    latitude_deg: Floats
    longitude_deg: Floats
    altitude_m: Floats
    height_m: Floats
    velocity_mps: Floats
    track_deg: Floats
    vertical_rate_mps: Floats
    is_on_ground: NDArray[np.bool_]
    phase: NDArray[np.int8]

    def first(self, *kinds: str) -> Movement | None:
        """Its first movement of these kinds."""
        return next((one for one in self.movements if one.kind in kinds), None)


@dataclass(frozen=True)
class Plan:
    """What makes a simulation; equal plans make equal flights.

    Attributes:
        days: flights begin within so many days; the last ones end after them.
    """

    seed: int
    start: datetime
    days: int
    airports: tuple[str, ...]
