"""Ways of single aircraft, drawn a second at a time, whose truth follows from how they are drawn.

Belongs here: real runways, a pen that flies, and what a receiver loses of its rows. Does not: what
SkyOps is to make of them (`integration/test_corpus.py`), or how files are written (`writers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from skyops_assets.simulate.geometry import Floats, bearing_deg, degrees, distance_m, offset, unit
from skyops_assets.units import FOOT_M

Row = dict[str, Any]
"""A state vector by the loader's column names, SI units."""

TOUCHDOWN_M = 400.0
"""Behind the threshold: where a landing is timed (`metrics.fct_movements`)."""
GLIDE = 0.0524
"""The tangent of 3 degrees."""
LINED_UP_M = 30.0
GROUND_S = 60

# Name, latitude, longitude and elevation in feet of both ends (OurAirports, public domain).
_RUNWAYS: dict[str, tuple[tuple[tuple[str, float, float, int], ...], ...]] = {
    "EHAM": (
        (("06", 52.287899, 4.734020, -11), ("24", 52.304600, 4.777520, -12)),
        (("09", 52.316601, 4.746350, -12), ("27", 52.318401, 4.796890, -13)),
        (("18C", 52.331402, 4.740030, -13), ("36C", 52.301800, 4.737500, -12)),
        (("18L", 52.321301, 4.779960, -12), ("36R", 52.290798, 4.777350, -11)),
        (("18R", 52.362701, 4.711930, -13), ("36L", 52.328602, 4.708840, -12)),
    ),
    "LFBO": (
        (("14L", 43.637402, 1.357620, 490), ("32R", 43.615601, 1.380220, 497)),
        (("14R", 43.644100, 1.345930, 488), ("32L", 43.618999, 1.372100, 497)),
    ),
    # 4,061 m above the sea, 386 m below it, and 12 km east of the date line.
    "SLLP": ((("10", -16.512699, -68.210999, 13110), ("28", -16.513901, -68.173500, 13314)),),
    "LLMZ": ((("01", 31.322901, 35.387600, -1246), ("19", 31.333500, 35.389702, -1210)),),
    "NFNM": ((("11", -16.688473, -179.881256, 60), ("29", -16.692844, -179.873184, 70)),),
}


@dataclass(frozen=True)
class Runway:
    """A runway in the direction in which it is used."""

    airport: str
    name: str
    threshold: Floats
    course_deg: float
    length_m: float
    elevation_m: float

    def at(self, past_m: float) -> Floats:
        """The point so far past the threshold; negative: before it."""
        if past_m < 0:
            return offset(self.threshold, self.course_deg + 180, -past_m)
        return offset(self.threshold, self.course_deg, past_m)


def runway(airport: str, name: str) -> Runway:
    """A runway end by its name."""
    for pair in _RUNWAYS[airport]:
        for near, far in (pair, pair[::-1]):
            if near[0] == name:
                start, end = unit(*near[1:3]), unit(*far[1:3])
                return Runway(
                    airport, name, start, bearing_deg(start, end),
                    float(distance_m(start, end)), near[3] * FOOT_M,
                )  # fmt: skip
    raise KeyError(f"{airport} {name}")


def raw_runways() -> pa.Table:
    """These runways as rows of raw.runways, without the batch."""
    rows: list[Row] = []
    for airport, pairs in _RUNWAYS.items():
        for low, high in pairs:
            length = float(distance_m(unit(*low[1:3]), unit(*high[1:3])))
            row: Row = {"runway_id": len(rows) + 1, "airport": airport, "length_m": length,
                        "width_m": 45.0, "surface": "ASP", "is_lighted": True,
                        "is_closed": False}  # fmt: skip
            for prefix, end in (("le", low), ("he", high)):
                row |= {f"{prefix}_ident": end[0], f"{prefix}_latitude_deg": end[1],
                        f"{prefix}_longitude_deg": end[2], f"{prefix}_elevation_m": end[3] * FOOT_M,
                        f"{prefix}_heading_deg": None}  # fmt: skip
            rows.append(row)
    kinds = {"le_heading_deg": pa.float64(), "he_heading_deg": pa.float64()}
    plain = pa.Table.from_pylist(rows)
    return pa.table(
        {name: plain[name].cast(kinds.get(name, plain[name].type)) for name in plain.column_names}
    )


def pressure_altitude_m(altitude_m: float, qnh_hpa: float) -> float:
    """What a barometric altimeter sends at a height above the sea (ICAO Doc 7488, below 11 km)."""
    return altitude_m + 44_330.77 * (1 - (qnh_hpa / 1013.25) ** 0.190263)


@dataclass
class Pen:
    """Draws one aircraft: each second a row, then a second's way.

    Attributes:
        at: the time of the row that comes next.
        altitude_m: above the sea, as a satellite sees it; the row has the barometric one beside it.
    """

    icao24: str
    at: datetime
    place: Floats
    track_deg: float
    altitude_m: float
    callsign: str | None = None
    qnh_hpa: float = 1013.25
    category: int = 4
    rows: list[Row] = field(default_factory=list)

    def _draw(self, seconds: int, speeds: tuple[float, float], climb_mps: float,
              turn_deg_s: float, is_on_ground: bool) -> Pen:  # fmt: skip
        latitude, longitude = degrees(self.place)
        for second in range(seconds):
            speed = speeds[0] + (speeds[1] - speeds[0]) * second / seconds
            self.rows.append(
                {
                    "icao24": self.icao24,
                    "callsign": self.callsign,
                    "time_position": self.at,
                    "latitude_deg": float(latitude),
                    "longitude_deg": float(longitude),
                    "baro_altitude_m": pressure_altitude_m(self.altitude_m, self.qnh_hpa),
                    "geo_altitude_m": self.altitude_m,
                    "is_on_ground": is_on_ground,
                    "velocity_mps": speed,
                    "true_track_deg": float(self.track_deg % 360),
                    "vertical_rate_mps": climb_mps,
                    "squawk": "1000",
                    "category": self.category,
                }
            )
            self.place = offset(self.place, self.track_deg + turn_deg_s / 2, speed)
            before, (latitude, longitude) = longitude, degrees(self.place)
            # Straight on is a great circle, whose course changes as the meridians converge.
            east = (longitude - before + 180) % 360 - 180
            self.track_deg += turn_deg_s + east * np.sin(np.radians(latitude))
            self.altitude_m += climb_mps
            self.at += timedelta(seconds=1)
        return self

    def fly(self, seconds: int, mps: float, climb_mps: float = 0.0, *, to_mps: float | None = None,
            turn_deg_s: float = 0.0) -> Pen:  # fmt: skip
        """In the air."""
        to_mps = mps if to_mps is None else to_mps
        return self._draw(seconds, (mps, to_mps), climb_mps, turn_deg_s, False)

    def fly_to(self, place: Floats, mps: float, altitude_m: float) -> Pen:
        """Straight to a place, at about this speed, and steadily to this altitude."""
        far_m = float(distance_m(self.place, place))
        seconds = round(far_m / mps)
        self.track_deg = bearing_deg(self.place, place)
        return self.fly(seconds, far_m / seconds, (altitude_m - self.altitude_m) / seconds)

    def touch(self, end: Runway, mps: float = 70) -> Pen:
        """Straight down to the touch-down point: the next row is that of the touch-down."""
        self.fly_to(end.at(TOUCHDOWN_M), mps, end.elevation_m)
        self.track_deg = end.course_deg
        return self

    def roll(self, seconds: int, mps: float, to_mps: float | None = None, *,
             turn_deg_s: float = 0.0) -> Pen:  # fmt: skip
        """On the ground."""
        to_mps = mps if to_mps is None else to_mps
        return self._draw(seconds, (mps, to_mps), 0.0, turn_deg_s, True)

    def wait(self, seconds: int) -> Pen:
        """Unheard, at the same place."""
        self.at += timedelta(seconds=seconds)
        return self

    def taxi_in(self, seconds: int = GROUND_S) -> Pen:
        """From touch-down: brake for 42 s, turn off, taxi, stand."""
        return self.roll(42, 70, 8).roll(30, 8, turn_deg_s=3).roll(seconds, 8).roll(GROUND_S, 0)

    def take_off(self) -> Pen:
        """From the threshold: roll for 38 s and lift off."""
        return self.roll(38, 0, 75)


def on_final(icao24: str, end: Runway, touch_at: datetime, *, seconds: int = 300,
             mps: float = 70, **more: Any) -> Pen:  # fmt: skip
    """A pen so many seconds of straight descent (3 degrees) before its touch-down."""
    before_m = mps * seconds
    return Pen(
        icao24, touch_at - timedelta(seconds=seconds), end.at(TOUCHDOWN_M - before_m),
        bearing_deg(end.at(TOUCHDOWN_M - before_m), end.threshold),
        end.elevation_m + before_m * GLIDE, **more,
    )  # fmt: skip


def landing(icao24: str, end: Runway, touch_at: datetime, *, seconds: int = 300, mps: float = 70,
            **more: Any) -> Pen:  # fmt: skip
    """Straight in, down at `touch_at`, and to the stand."""
    pen = on_final(icao24, end, touch_at, seconds=seconds, mps=mps, **more).touch(end, mps)
    assert pen.at == touch_at
    return pen.taxi_in()


def lined_up(icao24: str, end: Runway, lift_at: datetime, *, held_s: int = GROUND_S,
             **more: Any) -> Pen:  # fmt: skip
    """A pen that stands on the runway and rolls: its next row is at lift-off."""
    pen = Pen(icao24, lift_at - timedelta(seconds=held_s + 38), end.at(LINED_UP_M),
              end.course_deg, end.elevation_m, **more)  # fmt: skip
    return pen.roll(held_s, 0).take_off()


def takeoff(icao24: str, end: Runway, lift_at: datetime, *, seconds: int = 300,
            **more: Any) -> Pen:  # fmt: skip
    """From the runway, off the ground at `lift_at`, and straight out."""
    pen = lined_up(icao24, end, lift_at, **more)
    return pen.fly(30, 75, 8, to_mps=85).fly(seconds - 30, 85, 10, to_mps=150)


def circuit(pen: Pen, end: Runway, *, height_m: float = 450, mps: float = 75) -> Pen:
    """From the runway's course round to the left and straight in again, to the touch-down point.

    Climb to circuit height, downwind, and a final of 3 degrees: about ten minutes.
    """
    climb_s = max(0, round((end.elevation_m + height_m - pen.altitude_m) / 8))
    pen.fly(climb_s, mps, 8).fly(40, mps).fly(60, mps, turn_deg_s=-3)
    # Downwind until the turn back ends where the glide path is met.
    final_m = height_m / GLIDE
    along_m = float(np.dot(_ahead(end), pen.place - end.at(TOUCHDOWN_M))) * 6_371_008.8
    pen.fly(round((final_m + along_m) / mps), mps).fly(60, mps, turn_deg_s=-3)
    # What the turns and whole seconds leave over is flown off on final.
    return pen.touch(end)


def _ahead(end: Runway) -> Floats:
    ahead = end.at(1_000) - end.threshold
    return ahead / np.linalg.norm(ahead)


# What is lost of the rows, or wrong in them.


def every(rows: Iterable[Row], seconds: int, *, meeting: datetime) -> list[Row]:
    """One row in so many seconds, one of them at `meeting`."""
    step, none = timedelta(seconds=seconds), timedelta(0)
    return [row for row in rows if (row["time_position"] - meeting) % step == none]


def without(rows: Iterable[Row], *names: str) -> list[Row]:
    """The same rows with nothing in these columns."""
    return [{**row, **dict.fromkeys(names)} for row in rows]


def unheard(rows: Iterable[Row], start: datetime, seconds: float) -> list[Row]:
    """Without the rows after `start` until so many seconds later."""
    end = start + timedelta(seconds=seconds)
    return [row for row in rows if not start < row["time_position"] < end]


def changed(
    rows: Iterable[Row], start: datetime, number: int, change: Callable[[Row], Row]
) -> list[Row]:
    """With so many rows from `start` on changed."""
    end = start + timedelta(seconds=number)
    return [{**row, **change(row)} if start <= row["time_position"] < end else row
            for row in rows]  # fmt: skip


def flagged(rows: Iterable[Row], *at: datetime) -> list[Row]:
    """With a ground flag of one second at each of these times."""
    return [{**row, "is_on_ground": True} if row["time_position"] in at else row for row in rows]
