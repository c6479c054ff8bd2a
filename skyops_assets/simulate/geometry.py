"""Points and ways on a sphere, as unit vectors: the sphere of the warehouse's own geometry.

Belongs here: turning courses and distances into positions. Does not: what an aircraft does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of WGS84, as in dbt_project/macros/geometry.sql."""
STEP_M = 200.0
HALF_TURN_STEPS = 13
"""Corners are rounded over 27 steps, 5.4 km: 90 degrees at 80 m/s take a minute."""


def unit(latitude_deg: Floats | float, longitude_deg: Floats | float) -> Floats:
    """Unit vectors (..., 3) of positions in degrees."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    flat = np.cos(latitude)
    parts = (flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude))
    return np.stack(parts, axis=-1)


def degrees(points: Floats) -> tuple[Floats, Floats]:
    """Latitudes and longitudes in degrees of unit vectors (..., 3)."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def distance_m(one: Floats, other: Floats) -> Floats:
    """Great-circle distances between unit vectors (..., 3)."""
    chord = np.linalg.norm(one - other, axis=-1)
    return 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1, chord / 2))


def _compass(points: Floats) -> tuple[Floats, Floats]:
    """The directions east and north at unit vectors (..., 3)."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    flat = np.hypot(x, y)
    east = np.stack((-y / flat, x / flat, np.zeros_like(x)), axis=-1)
    north = np.stack((-z * x / flat, -z * y / flat, flat), axis=-1)
    return east, north


def course_deg(points: Floats, directions: Floats) -> Floats:
    """Courses in [0, 360) of directions (..., 3) at unit vectors (..., 3)."""
    east, north = _compass(points)
    angle = np.arctan2((directions * east).sum(-1), (directions * north).sum(-1))
    # A course a hair west of north would become 360 in the last digit.
    return np.degrees(angle) % 360 % 360


def bearing_deg(start: Floats, end: Floats) -> float:
    """Initial course of the great circle from one unit vector to another."""
    return float(course_deg(start, end - start * (start @ end)))


def offset(start: Floats, course: float, ahead_m: float, right_m: float = 0.0) -> Floats:
    """The point so far ahead on a course and to its right."""
    east, north = _compass(start)
    angle = np.radians(course) + np.arctan2(right_m, ahead_m)
    far = np.hypot(ahead_m, right_m) / EARTH_RADIUS_M
    return np.cos(far) * start + np.sin(far) * (np.sin(angle) * east + np.cos(angle) * north)


@dataclass(frozen=True)
class Way:
    """A line on the sphere: points (n, 3) at distances from its start, ascending, in metres."""

    points: Floats
    at_m: Floats

    @property
    def length_m(self) -> float:
        """From its start to its end."""
        return float(self.at_m[-1])

    def place(self, at_m: Floats) -> tuple[Floats, Floats, Floats]:
        """Latitudes, longitudes and courses in degrees at distances from the start."""

        def between(columns: Floats) -> Floats:
            return np.stack([np.interp(at_m, self.at_m, c) for c in columns.T], axis=-1)

        found = between(self.points)
        found /= np.linalg.norm(found, axis=-1, keepdims=True)
        courses = course_deg(found, between(np.gradient(self.points, axis=0)))
        return *degrees(found), courses


def way(corners: list[Floats], *, is_rounded: bool = True) -> Way:
    """Great circles from corner to corner.

    Args:
        corners: unit vectors; where corners are rounded, the first and the last leg are to be
            longer than 2.7 km, and stay as they are at their outer ends.
    """
    parts = []
    for start, end in pairwise(corners):
        steps = max(1, int(np.ceil(float(distance_m(start, end)) / STEP_M)))
        share = np.arange(steps)[:, None] / steps
        # Between neighbours at most some thousand kilometres apart, in equal angles.
        angle = float(distance_m(start, end)) / EARTH_RADIUS_M
        if angle < 1e-9:
            continue
        parts.append((np.sin((1 - share) * angle) * start + np.sin(share * angle) * end)
                     / np.sin(angle))  # fmt: skip
    points = np.concatenate([*parts, corners[-1][None, :]])
    width = 2 * HALF_TURN_STEPS + 1
    if is_rounded and len(points) > 2 * width:
        sums = np.cumsum(np.concatenate([np.zeros((1, 3)), points]), axis=0)
        points = points.copy()
        points[HALF_TURN_STEPS:-HALF_TURN_STEPS] = (sums[width:] - sums[:-width]) / width
        points /= np.linalg.norm(points, axis=-1, keepdims=True)
    steps_m = distance_m(points[1:], points[:-1])
    return Way(points, np.concatenate([[0.0], np.cumsum(steps_m)]))
