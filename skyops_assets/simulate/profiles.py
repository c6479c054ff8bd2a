"""How airliners climb and descend: profiles drawn with openap's trajectory generator.

`profiles.npz` holds them, so that a plain installation can simulate: openap, a development
dependency, is asked once. `python -m skyops_assets.simulate.profiles` draws them anew.

Belongs here: those profiles; cutting one to a field's and a level's altitude. Does not: where an
aircraft flies (`truth`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skyops_assets.simulate.geometry import Floats
from skyops_assets.units import FOOT_M, KNOT_MPS

TYPES = ("A319", "A320", "A321", "A332", "B737", "B738", "B739", "B77W", "B789", "E190")
VARIANTS = 4
DRAWN = 16
"""Draws of a type that are kept; a seed takes four of them."""
FILE = Path(__file__).with_name("profiles.npz")
TOLERANCE = np.array([0.5, 0.05])
"""Metres, and metres per second: what the straight lines between the kept points may be off by.
ADS-B sends heights by 7.6 m and speeds by 0.5 m/s."""
CEILING_FT = 41_000
CRUISE_MACH = 0.80
ACCELERATION_M = 457.0
"""1,500 ft: where openap's initial climb ends."""


@dataclass(frozen=True)
class Profile:
    """One aircraft's way up and down at 1 Hz, in still air, from and to the sea.

    Attributes:
        climb_m, climb_mps: height and true airspeed from lift-off to 41,000 ft.
        descent_m, descent_mps: from there to touch-down.
        takeoff_mps2, landing_mps2: mean acceleration on the runway, both positive.
    """

    aircraft_type: str
    climb_m: Floats
    climb_mps: Floats
    descent_m: Floats
    descent_mps: Floats
    takeoff_mps2: float
    landing_mps2: float

    def climb(self, from_m: float, to_m: float) -> tuple[Floats, Floats]:
        """Altitudes and speeds from a field's altitude, exclusive, up to a level."""
        altitude = from_m + self.climb_m
        part = altitude < to_m
        return altitude[part], _thin_air(self.climb_m, self.climb_mps, from_m)[part]

    def descent(self, from_m: float, to_m: float) -> tuple[Floats, Floats]:
        """Altitudes and speeds from a level down to a field's altitude, exclusive."""
        altitude = to_m + self.descent_m
        part = altitude < from_m
        return altitude[part], _thin_air(self.descent_m, self.descent_mps, to_m)[part]


@lru_cache(maxsize=4)
def profiles(seed: int) -> tuple[Profile, ...]:
    """Forty profiles: ten types, four draws each of openap's ranges of speeds and rates."""
    with np.load(FILE) as file:
        kept = dict(file)
    ends = np.cumsum(kept["lengths"])

    def way(number: int) -> tuple[Floats, Floats]:
        points = kept["points"][ends[number] - kept["lengths"][number] : ends[number]].astype(float)
        seconds = np.arange(points[-1, 0] + 1)
        heights, speeds = (np.interp(seconds, points[:, 0], points[:, n]) for n in (1, 2))
        return heights, speeds

    made = []
    for index, name in enumerate(TYPES):
        for variant in range(VARIANTS):
            number = 2 * (index * DRAWN + (seed * VARIANTS + variant) % DRAWN)
            accelerations = map(float, kept["accelerations"][index])
            made.append(Profile(name, *way(number), *way(number + 1), *accelerations))
    return tuple(made)


def draw() -> None:
    """Draw the profiles with openap, and write the file.

    Raises:
        ImportError: openap, a development dependency, is not installed.
    """
    from openap.gen import FlightGenerator

    ways, accelerations = [], []
    for name in TYPES:
        for seed in range(DRAWN):
            generator = FlightGenerator(name, random_seed=seed)
            for way in drawn(generator):
                at = _corners(way)
                ways.append(np.column_stack([at, way[at]]))
        accelerations.append(
            [
                generator.wrap.takeoff_acceleration()["default"],
                -generator.wrap.landing_acceleration()["default"],
            ]
        )
    np.savez_compressed(
        FILE,
        lengths=np.array([len(one) for one in ways], np.int32),
        points=np.concatenate(ways).astype(np.float32),
        accelerations=np.array(accelerations),
    )


def drawn(generator: Any) -> tuple[Floats, Floats]:
    """A climb and a descent from openap: height and true airspeed, a row a second."""
    up = generator.climb(dt=1, random=True, alt_cr=CEILING_FT)
    down = generator.descent(dt=1, random=True, alt_cr=CEILING_FT, withcr=False)
    climbing = (up["h"] > 0) & (up["h"] < CEILING_FT * FOOT_M)
    descending = (down["h"] > 0) & (down["h"] < CEILING_FT * FOOT_M)
    climb_m = up["h"][climbing].to_numpy(float)
    climb_mps = up["v"][climbing].to_numpy(float)
    # openap accelerates from lift-off on, to 235 kt at 450 m. Airliners first climb and then
    # accelerate: at V2 + 10 to 20 kt up to 800 ft or more (ICAO Doc 8168, noise abatement).
    since = np.maximum(np.arange(len(climb_m)) - np.searchsorted(climb_m, ACCELERATION_M), 0)
    climb_mps = np.minimum(climb_mps, climb_mps[0] + 20 * KNOT_MPS + 0.7 * since)
    return (
        np.column_stack([climb_m, climb_mps]),
        down.loc[descending, ["h", "v"]].to_numpy(float),
    )


def _corners(way: Any) -> Any:
    """The seconds between which straight lines are within `TOLERANCE` (Douglas and Peucker)."""
    kept, open_ = {0, len(way) - 1}, [(0, len(way) - 1)]
    while open_:
        first, last = open_.pop()
        share = (np.arange(first, last + 1) - first)[:, None] / max(last - first, 1)
        line = way[first] + share * (way[last] - way[first])
        off = (np.abs(way[first : last + 1] - line) / TOLERANCE).max(axis=1)
        if off.max() > 1:
            corner = first + int(off.argmax())
            kept.add(corner)
            open_ += [(first, corner), (corner, last)]
    return np.array(sorted(kept))


def cruise_mps(altitude_m: float) -> float:
    """True airspeed at Mach 0.80 in the standard atmosphere."""
    return float(CRUISE_MACH * np.sqrt(1.4 * 287.05 * _temperature_k(altitude_m)))


def _temperature_k(altitude_m: Floats | float) -> Any:
    """The standard atmosphere's temperature (ISO 2533)."""
    return np.maximum(288.15 - 0.0065 * np.asarray(altitude_m, float), 216.65)


def _density(altitude_m: Floats) -> Any:
    """The standard atmosphere's density against the sea's; above 11 km good enough for a ratio."""
    return (_temperature_k(altitude_m) / 288.15) ** 4.256 * np.where(
        altitude_m > 11_000, np.exp((11_000 - altitude_m) / 6_341.6), 1.0
    )


def _thin_air(height_m: Floats, speed_mps: Floats, field_m: float) -> Any:
    """The same indicated airspeed flown so much higher, at most at Mach 0.80."""
    altitude = height_m + field_m
    faster = speed_mps * np.sqrt(_density(height_m) / _density(altitude))
    limit = CRUISE_MACH * np.sqrt(1.4 * 287.05 * _temperature_k(altitude))
    return np.minimum(faster, limit)


if __name__ == "__main__":
    draw()
