"""One arrival of the open per-arrival history: its columns, units, and what can be true.

Belongs here: reading a row of the file and the reason why it is rejected. Does not: finding
the file (`source`) or writing rows (`load`).

The source takes, for each ring, the one position closest to it (`calc_crossing.R`: minimum of
the distance to the ring, over all positions of the day), not the first entry; and it
extrapolates the threshold time from the last position and the speed (`estimate_threshold_time.R`).
So a flight that met a ring several times may show another crossing than its last inbound one,
and a track that the end of the day cuts off gets a landing that nobody saw. Both leave marks
that the rules here look for.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from skyops_assets.sources.csv_tables import MISSING
from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS, NAUTICAL_MILE_M

RINGS_NM = (40, 50, 100)
_UTC_TIME = pa.timestamp("us", tz="UTC")

_RING_FIELDS = {
    "crossed_at": _UTC_TIME,
    "bearing_deg": pa.float64(),
    "latitude_deg": pa.float64(),
    "longitude_deg": pa.float64(),
    "altitude_m": pa.float64(),
    "distance_m": pa.float64(),
    "offset_m": pa.float64(),
}
_RING_COLUMNS = ("TIME", "BRG", "LAT", "LON", "ALT", "DIST", "OFFSET")

ARRIVAL = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("icao24", pa.string(), nullable=False),
        pa.field("callsign", pa.string(), nullable=False),
        pa.field("airport", pa.string(), nullable=False),
        pa.field("runway", pa.string()),
        pa.field("is_arrival", pa.bool_(), nullable=False),
        pa.field("landed_at", _UTC_TIME, nullable=False),
        *(
            pa.field(f"ring_{ring}nm_{name}", kind)
            for ring in RINGS_NM
            for name, kind in _RING_FIELDS.items()
        ),
        pa.field("day", pa.date32(), nullable=False),
    ]
)
"""Columns of an arrival, SI units. ``ring_<nm>nm_distance_m`` is the great circle (sphere of
6,378,137 m) from the airport's reference point to the position taken as the crossing, and
``ring_<nm>nm_offset_m`` how far that is from the ring itself."""

HEADER = (
    "UID",
    "ARR",
    "RWY",
    "THR_TIME",
    *(f"C{ring}_{name}" for ring in RINGS_NM for name in _RING_COLUMNS),
)
"""Columns of a file, in its order."""

LIMITS: dict[str, tuple[float, float]] = {
    "bearing_deg": (0, 360),
    "latitude_deg": (-90, 90),
    "longitude_deg": (-180, 180),
    # To 51,000 ft, the highest that civil jets are certified for; the files hold 122,000 ft.
    "altitude_m": (-1_500, 51_000 * FOOT_M),
}
"""What a ring's value can be, both ends included."""

MAX_RING_OFFSET_M = NAUTICAL_MILE_M
"""Beyond, the position says little about the crossing. The source takes positions within a few
hundred metres (at most 407 m in the three months at hand)."""
MAX_TRANSIT_MIN = 120.0
"""EUROCONTROL's limit for a transit in additional ASMA time."""
MAX_SPEED_MPS = 700 * KNOT_MPS
"""Straight from ring to ring; nothing civil is faster over ground."""
MAX_DESCENT_MPS = 5_000 * FOOT_PER_MINUTE_MPS
MAX_CLIMB_MPS = 2_500 * FOOT_PER_MINUTE_MPS
"""Mean rates between two rings. Measured at LSZH from 50 to 40 NM: true descents thin out to 3
rows at 4,500-5,000 ft/min, true climbs to 2 rows at 2,000-2,500; beyond, the counts rise again
to 75 and 104 rows, whose altitude at one of the rings is garbage."""

_UID = re.compile(r"([0-9a-f]{6})-([A-Z0-9]{1,8})-(\d{4}-\d\d-\d\d)-(\d+)")
_RUNWAY = re.compile(r"(0[1-9]|[12]\d|3[0-6])[LCR]?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Judged:
    """One row of a file: as an arrival, or with the reason why it is none.

    Attributes:
        row: the row as the file has it.
        arrival: values by `ARRIVAL`'s names, or None.
        reason: why there is no arrival, or None.
    """

    row: Mapping[str, Any]
    arrival: dict[str, Any] | None
    reason: str | None


class _Unreadable(Exception):
    """A value that is not what its column holds."""


def judge(rows: list[dict[str, Any]], airport: str, day: date) -> list[Judged]:
    """Read the rows of one file, each for itself, in their order.

    Args:
        rows: values as text by the file's column names; null as in `tables.MISSING`.
        airport: ICAO code, from the file's name.
        day: the file's day (UTC).
    """
    return [_judge_row(row, airport, day) for row in rows]


def _judge_row(row: dict[str, Any], airport: str, day: date) -> Judged:
    try:
        arrival = _parse(row, airport, day)
    except _Unreadable as error:
        return Judged(row, None, str(error))
    reason = next(_problems(arrival), None)
    return Judged(row, None if reason else arrival, reason)


def _parse(row: dict[str, Any], airport: str, day: date) -> dict[str, Any]:
    if tuple(row) != HEADER or None in row.values():
        raise _Unreadable(f"the row does not have {len(HEADER)} values")
    name = _UID.fullmatch(row["UID"])
    if name is None:
        raise _Unreadable("UID is not icao24-callsign-date-number")
    if name[3] != day.isoformat():
        raise _Unreadable("UID is of another day than the file")
    arrival: dict[str, Any] = {
        "uid": row["UID"],
        "icao24": name[1],
        "callsign": name[2],
        "airport": airport,
        "runway": None if row["RWY"] in MISSING else row["RWY"],
        "is_arrival": row["ARR"].upper() == "TRUE",
        "landed_at": _time(row, "THR_TIME"),
    }
    for ring in RINGS_NM:
        values = [
            _time(row, f"C{ring}_TIME"),
            *(_number(row, f"C{ring}_{column}") for column in _RING_COLUMNS[1:]),
        ]
        prefix = f"ring_{ring}nm"
        arrival |= {f"{prefix}_{k}": v for k, v in zip(_RING_FIELDS, values, strict=True)}
        if arrival[f"{prefix}_altitude_m"] is not None:
            arrival[f"{prefix}_altitude_m"] *= FOOT_M
    return arrival | {"day": day}


def _time(row: Mapping[str, str], column: str) -> datetime | None:
    text = row[column]
    if text in MISSING:
        return None
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass  # Such as February the 30th.
    raise _Unreadable(f"{column} is not a time")


def _number(row: Mapping[str, str], column: str) -> float | None:
    text = row[column]
    if text in MISSING:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _Unreadable(f"{column} is not a number")
    return value


def _problems(arrival: Mapping[str, Any]) -> Iterator[str]:
    """Why the row cannot be an arrival, the most basic first."""
    if not arrival["is_arrival"]:
        yield "ARR is not TRUE"
    landed_at: datetime | None = arrival["landed_at"]
    if landed_at is None:
        yield "no threshold time"
        return
    if arrival["runway"] is not None and not _RUNWAY.fullmatch(arrival["runway"]):
        yield "RWY is not a runway"
    # Outermost first, as an arrival meets them.
    seen = [ring for ring in reversed(RINGS_NM) if arrival[f"ring_{ring}nm_crossed_at"]]
    yield from _day_problems((landed_at.date() - arrival["day"]).days, has_crossing=bool(seen))
    transits_s = {
        ring: (landed_at - arrival[f"ring_{ring}nm_crossed_at"]).total_seconds() for ring in seen
    }
    for transit_s in transits_s.values():
        yield from _transit_problems(transit_s)
    for ring in RINGS_NM:
        yield from _ring_problems(arrival, ring)
    for outer, inner in itertools.pairwise(seen):
        yield from _leg_problems(arrival, outer, inner)
    for ring, transit_s in transits_s.items():
        if transit_s * MAX_SPEED_MPS < ring * NAUTICAL_MILE_M:
            yield "faster than 700 knots from ring to threshold"


def _day_problems(days_off: int, *, has_crossing: bool) -> Iterator[str]:
    # An arrival over midnight lands a day after its file's; then a crossing has to show it.
    if days_off not in (0, 1) or (days_off and not has_crossing):
        yield "threshold time is on another day and no crossing confirms it"
    if not has_crossing:
        yield "no crossing of any ring"


def _transit_problems(transit_s: float) -> Iterator[str]:
    if transit_s <= 0:
        yield "threshold time is not after the crossing"
    if transit_s > MAX_TRANSIT_MIN * 60:
        yield f"transit of more than {MAX_TRANSIT_MIN:g} minutes"


def _ring_problems(arrival: Mapping[str, Any], ring: int) -> Iterator[str]:
    values = {name: arrival[f"ring_{ring}nm_{name}"] for name in _RING_FIELDS}
    missing = [name for name, value in values.items() if value is None]
    if len(missing) == len(values):
        return
    if missing:
        yield "a crossing lacks some of its values"
        return
    for name, (low, high) in LIMITS.items():
        if not low <= values[name] <= high:
            yield f"{name} of a crossing outside {low:g} to {high:g}"
    if abs(values["distance_m"] - ring * NAUTICAL_MILE_M) > MAX_RING_OFFSET_M:
        yield "crossing is more than 1 NM from its ring"


def _leg_problems(arrival: Mapping[str, Any], outer: int, inner: int) -> Iterator[str]:
    seconds = (
        arrival[f"ring_{inner}nm_crossed_at"] - arrival[f"ring_{outer}nm_crossed_at"]
    ).total_seconds()
    if seconds <= 0:
        yield "rings are crossed in another order than inbound"
        return
    if (outer - inner) * NAUTICAL_MILE_M > seconds * MAX_SPEED_MPS:
        yield "faster than 700 knots from ring to ring"
    climbed_m = arrival[f"ring_{inner}nm_altitude_m"] - arrival[f"ring_{outer}nm_altitude_m"]
    if climbed_m < -MAX_DESCENT_MPS * seconds:
        yield "altitudes of two rings mean a descent of more than 5,000 ft/min"
    if climbed_m > MAX_CLIMB_MPS * seconds:
        yield "altitudes of two rings mean a climb of more than 2,500 ft/min"
