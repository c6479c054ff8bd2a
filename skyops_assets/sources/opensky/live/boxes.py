"""Bounding boxes: what they cost at OpenSky, and the cheapest ones around airports.

Belongs here: geometry and prices of boxes, pure functions. Does not: the day's budget (`credits`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    pass


WORLD_COST = 4
_COSTS = ((25.0, 1), (100.0, 2), (400.0, 3))

NM_PER_DEGREE = 59.7
"""A degree of latitude is nowhere shorter than 59.705 NM (WGS84, at the equator), so a box from
this is never too small, by the ellipsoid or by the sphere that SkyOps measures rings on."""

_EXACT_BOXES = 6
"""The search tries 3 to the power of their number: 0.6 s for 10 boxes, a few ms for 6."""


@dataclass(frozen=True, order=True)
class BoundingBox:
    """A box in degrees, WGS84, that does not cross the date line.

    Raises:
        SkyOpsError: a corner is no place on earth, or the corners are swapped.
    """

    min_latitude_deg: float
    min_longitude_deg: float
    max_latitude_deg: float
    max_longitude_deg: float

    def __post_init__(self) -> None:
        _check_range("latitude", self.min_latitude_deg, self.max_latitude_deg, 90)
        _check_range("longitude", self.min_longitude_deg, self.max_longitude_deg, 180)

    @property
    def area_deg2(self) -> float:
        """Height times width in square degrees: the measure that OpenSky charges by."""
        return (self.max_latitude_deg - self.min_latitude_deg) * (
            self.max_longitude_deg - self.min_longitude_deg
        )

    def contains(self, latitude_deg: float, longitude_deg: float) -> bool:
        """Whether a position lies in the box, its edges included."""
        return (
            self.min_latitude_deg <= latitude_deg <= self.max_latitude_deg
            and self.min_longitude_deg <= longitude_deg <= self.max_longitude_deg
        )

    def union(self, other: BoundingBox) -> BoundingBox:
        """The smallest box that holds both."""
        return BoundingBox(
            min(self.min_latitude_deg, other.min_latitude_deg),
            min(self.min_longitude_deg, other.min_longitude_deg),
            max(self.max_latitude_deg, other.max_latitude_deg),
            max(self.max_longitude_deg, other.max_longitude_deg),
        )


def _check_range(name: str, low: float, high: float, limit: float) -> None:
    # Written so that NaN fails too.
    if not -limit <= low <= high <= limit:
        raise SkyOpsError(
            f"A box cannot reach from {name} {low} to {high}: give the smaller first, both within "
            f"-{limit} to {limit}; a box over the date line is two boxes."
        )


def cost_of(box: BoundingBox | None) -> int:
    """Credits that one response of ``/states/all`` costs: 1 to 4; None is the whole world.

    Source: <= 25 square degrees 1, <= 100 2, <= 400 3, more 4 (OpenSky's REST documentation).
    """
    if box is None:
        return WORLD_COST
    for area_deg2, cost in _COSTS:
        if box.area_deg2 <= area_deg2:
            return cost
    return WORLD_COST


def boxes_around(
    latitude_deg: float, longitude_deg: float, radius_nm: float
) -> tuple[BoundingBox, ...]:
    """The boxes that hold every place within a distance of a point.

    Args:
        latitude_deg: degrees north.
        longitude_deg: degrees east.
        radius_nm: nautical miles, above 0.

    Returns:
        One box, or two where they meet at the date line. Near a pole it spans all longitudes.

    Raises:
        SkyOpsError: the point is no place on earth, or the radius is none.
    """
    if not (-90 <= latitude_deg <= 90 and -180 <= longitude_deg <= 180):
        raise SkyOpsError(f"{latitude_deg}, {longitude_deg} is not a place on earth (degrees).")
    if not 0 < radius_nm <= 5_400:
        raise SkyOpsError(f"A radius of {radius_nm} NM is not valid: give 0 to 5400 NM.")
    reach = radius_nm / NM_PER_DEGREE
    south, north = max(latitude_deg - reach, -90.0), min(latitude_deg + reach, 90.0)
    if abs(latitude_deg) + reach >= 90:
        return (BoundingBox(south, -180.0, north, 180.0),)
    # The easternmost point of a circle on a sphere lies at asin(sin r / cos latitude).
    sine = math.sin(math.radians(reach)) / math.cos(math.radians(latitude_deg))
    width = math.degrees(math.asin(min(sine, 1.0)))
    west, east = longitude_deg - width, longitude_deg + width
    if west < -180:
        return (
            BoundingBox(south, -180.0, north, east),
            BoundingBox(south, west + 360, north, 180.0),
        )
    if east > 180:
        return (
            BoundingBox(south, -180.0, north, east - 360),
            BoundingBox(south, west, north, 180.0),
        )
    return (BoundingBox(south, west, north, east),)


def watch_boxes(places: Iterable[tuple[float, float]], radius_nm: float) -> tuple[BoundingBox, ...]:
    """The cheapest boxes that hold every place within a distance of any of the airports.

    Args:
        places: (latitude, longitude) of each airport in degrees.
        radius_nm: the largest ring, in nautical miles.
    """
    found = [box for place in places for box in boxes_around(*place, radius_nm)]
    return merge_boxes(found)


def merge_boxes(boxes: Sequence[BoundingBox]) -> tuple[BoundingBox, ...]:
    """The cheapest set of boxes that holds all of these.

    At equal cost fewer responses win, but not by a box above 400 square degrees: the world for
    four credits is 10,000 aircraft of which four small boxes hold a few.

    Returns:
        The boxes, sorted. The cheapest there is for up to 6 boxes (of all ways to group them);
        above, boxes are first joined in pairs wherever the joint box costs no more.
    """
    remaining = sorted(set(boxes))
    while len(remaining) > _EXACT_BOXES:
        pairs = [
            (cost_of(one.union(other)) - cost_of(one) - cost_of(other), one, other)
            for i, one in enumerate(remaining)
            for other in remaining[i + 1 :]
        ]
        gain, one, other = min(pairs)
        if gain > 0:
            # More than six boxes that do not join cost more than the one of everything.
            everything = remaining[0]
            for box in remaining:
                everything = everything.union(box)
            return (everything,)
        # In this order: where one box holds the other, the union is one of the two.
        remaining = sorted(({*remaining} - {one, other}) | {one.union(other)})
    return _cheapest(tuple(remaining))


def _cheapest(boxes: tuple[BoundingBox, ...]) -> tuple[BoundingBox, ...]:
    """The best of all partitions, by dynamic programming over subsets."""

    def price(group: tuple[BoundingBox, ...]) -> tuple[int, bool, int, float]:
        costs = [cost_of(box) for box in group]
        area = sum(box.area_deg2 for box in group)
        return sum(costs), WORLD_COST in costs, len(group), area

    @cache
    def joint(members: int) -> BoundingBox:
        chosen = [box for i, box in enumerate(boxes) if members >> i & 1]
        whole = chosen[0]
        for box in chosen[1:]:
            whole = whole.union(box)
        return whole

    @cache
    def best(left: int) -> tuple[BoundingBox, ...]:
        if not left:
            return ()
        first = left & -left
        others = left ^ first
        options, some = [], others
        while True:
            options.append((joint(first | some), *best(others ^ some)))
            if not some:
                break
            some = (some - 1) & others
        return min(options, key=price)

    return tuple(sorted(best((1 << len(boxes)) - 1)))
