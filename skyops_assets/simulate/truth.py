"""Flights whose every second is known: where, how high, in which phase, and what they did.

Belongs here: who flies when, from where to where, and the flying. Does not: what a receiver makes
of it (`reception`), files (`write`). One file, though a long one: the parts of a flight hand each
other its state, and none of them is used alone.

Phases go by what the aircraft does and by its height above the field that it leaves or goes to
(above the sea where it knows none):

* GROUND: wheels on the ground, so also the rolls before lift-off and after touch-down.
* TAKEOFF: climbing below 450 m, after a lift-off or a go-around. CLIMB: climbing above.
* CRUISE: level at the flight's cruising level, wherever that lies. LEVEL: level anywhere else,
  holding included.
* DESCENT: descending above 1,000 m. APPROACH: down to 450 m. LANDING: below, to touch-down.

A change is instantaneous here. Nobody who sees only the past can tell it in the same second, and
nobody at all can tell a cruise at 5,000 m from a long level segment there: whoever scores phases
against these should know the two.

Not simulated: wind, and keeping apart from other aircraft.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from skyops_assets.simulate.fields import Field, RunwayEnd, fields
from skyops_assets.simulate.flights import (
    APPROACH,
    CLIMB,
    CRUISE,
    DAY_S,
    DESCENT,
    GROUND,
    LANDING,
    LEVEL,
    TAKEOFF,
    Flight,
    Movement,
    Plan,
)
from skyops_assets.simulate.geometry import (
    Floats,
    Way,
    bearing_deg,
    distance_m,
    offset,
    way,
)
from skyops_assets.simulate.profiles import Profile, cruise_mps, profiles
from skyops_assets.units import FOOT_M

RUNWAY_HEIGHT_M = 450.0
APPROACH_HEIGHT_M = 1_000.0
TOUCHDOWN_M = 400.0
"""Wheels meet the runway so far behind the threshold: the aiming point of a runway of 2,400 m or
more (ICAO Annex 14), as `metrics.fct_movements` times a landing."""
LINE_UP_M = 30.0
TAXI_MPS = 8.0


ENDS = {"stop": "landing", "touch": "touch_and_go", "around": "go_around"}
FIRST_ADDRESS = 0xF10000
"""Addresses from here on are given to no State (ICAO Annex 10, volume III)."""
SHARED_EVERY = 200
"""One airframe in so many transmits the address of the one before it."""


def airframes(plan: Plan) -> Iterator[list[Flight]]:
    """The flights of one airframe after the other, without end.

    An airframe's flights depend on the plan and on its number alone.

    Raises:
        SkyOpsError: an airport is not known.
    """
    places = fields(plan.airports)
    library = profiles(plan.seed)
    number = 0
    while True:
        yield _Airframe(plan, number, places, library).flights()
        number += 1


@dataclass(frozen=True)
class _Motion:
    """Seconds of motion: altitude, elevation of the field it counts from, speed, ground, phase."""

    altitude: Floats
    base: Floats
    speed: Floats
    ground: NDArray[np.bool_]
    phase: NDArray[np.int8]

    @staticmethod
    def of(altitude: Floats | float, base: float, speed: Floats, phase: Floats | int) -> _Motion:
        """On the ground where the phase is GROUND; single values hold for all its seconds."""
        size = speed.shape
        phases = np.broadcast_to(np.asarray(phase, np.int8), size)
        altitudes = np.broadcast_to(np.asarray(altitude, float), size)
        return _Motion(altitudes, np.full(size, base), speed, phases == GROUND, phases)

    @staticmethod
    def join(parts: list[_Motion]) -> _Motion:
        """One after the other."""
        names = ("altitude", "base", "speed", "ground", "phase")
        return _Motion(*[np.concatenate([getattr(p, name) for p in parts]) for name in names])

    def __len__(self) -> int:
        return len(self.speed)

    @property
    def length_m(self) -> float:
        """How far it goes."""
        return float(self.speed.sum())

    def level_off(self, index: int, seconds: int, speed: float) -> _Motion:
        """Fly level for so long before the second with this index."""
        index = min(index, len(self) - 1)
        level = _Motion.of(self.altitude[index], self.base[index], np.full(seconds, speed), LEVEL)
        return _Motion.join([self.part(0, index), level, self.part(index, len(self))])

    def part(self, start: int, end: int) -> _Motion:
        """The seconds from start to before end."""
        here = slice(start, end)
        return _Motion(
            self.altitude[here], self.base[here], self.speed[here], self.ground[here],
            self.phase[here],
        )  # fmt: skip

    def smooth(self) -> _Motion:
        """Without the kinks of speed and of climb in the air, where a profile has them."""
        air = np.flatnonzero(~self.ground)
        if not len(air):
            return self
        part = slice(air[0], air[-1] + 1)
        altitude, speed = self.altitude.copy(), self.speed.copy()
        altitude[part] = _mean(altitude[part], 4)
        speed[part] = _mean(speed[part], 7)
        return _Motion(altitude, self.base, speed, self.ground, self.phase)


def _mean(values: Floats, half: int) -> Floats:
    """The mean of so many neighbours on both sides; near the ends of fewer, so that these stay."""
    index = np.arange(len(values))
    reach = np.minimum(np.minimum(index, index[::-1]), half)
    sums = np.concatenate([[0.0], np.cumsum(values - values[0])])
    return values[0] + (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)


@dataclass
class _Log:
    """The seconds of a flight while it is flown."""

    start_at: int
    motions: list[_Motion] = field(default_factory=list)
    places: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    now: int = 0

    def __post_init__(self) -> None:
        self.now = self.start_at

    def move(self, along: Way, motion: _Motion) -> None:
        """Move from the beginning of a way to its end, which may stretch the speed a little."""
        gone = np.concatenate([[0.0], np.cumsum(motion.speed)])
        self.places.append(along.place(gone[:-1] * (along.length_m / max(gone[-1], 1.0))))
        self.motions.append(motion)
        self.now += len(motion)

    def park(self, place: Floats, field_m: float, seconds: int) -> None:
        """Stand still, nose to the north."""
        nowhere = way([place, offset(place, 0.0, 1.0)], is_rounded=False)
        self.move(nowhere, _Motion.of(field_m, field_m, np.zeros(seconds), GROUND))

    def taxi(
        self, corners: list[Floats], from_m: float, to_m: float, field_m: float, wait_s: int = 0
    ) -> None:
        """Roll from corner to corner, from one elevation to another, and wait at the last."""
        along = way(corners, is_rounded=False)
        moving = max(2, round(along.length_m / TAXI_MPS))
        speed = np.concatenate([np.full(moving, along.length_m / moving), np.zeros(wait_s)])
        altitude = from_m + (to_m - from_m) * np.minimum(1, np.arange(len(speed)) / moving)
        self.move(along, _Motion.of(altitude, field_m, speed, GROUND))

    def note(
        self, kind: str, airport: Field, end: RunwayEnd | None, at: int, until: int | None = None
    ) -> None:
        """Something that it did."""
        name = end.name if end else None
        self.movements.append(Movement(kind, airport.icao, name, at, until or at))


def _on(end: RunwayEnd, at_m: float) -> Floats:
    """The point of a runway's centre line so far behind its threshold."""
    return offset(end.threshold, end.course_deg, at_m)


def _concrete(end: RunwayEnd, at_m: Floats | float) -> Floats:
    """Elevations of the runway so far behind its threshold."""
    share = np.clip(np.asarray(at_m, float) / end.length_m, 0, 1)
    return end.elevation_m + (end.far_elevation_m - end.elevation_m) * share


def _roll(end: RunwayEnd, from_m: float, field_m: float, speed: Floats) -> _Motion:
    """On the runway at these speeds."""
    gone = from_m + np.cumsum(speed) - speed
    return _Motion.of(_concrete(end, gone), field_m, speed, GROUND)


def _turn_deg(angle: float) -> float:
    """An angle as a turn, -180 to 180, right positive."""
    return (angle + 180) % 360 - 180


@dataclass(frozen=True)
class _Leg:
    """A way through the air; a runway end or field that is None lies beyond the receivers' reach.

    Attributes:
        begins: roll (from standstill), touch (from touch-down), air (from a go-around), en route.
        from_m, from_height_m: where it begins, behind the threshold and above the runway.
        ends: stop, touch, around (from `around_m` above the runway), en route.
        level_offs: on the way up and on the way down, (height above the field in m, seconds).
    """

    here: Field | None
    origin: RunwayEnd | None
    begins: str
    there: Field | None
    target: RunwayEnd | None
    ends: str
    from_m: float = LINE_UP_M
    from_height_m: float = 0.0
    around_m: float = 0.0
    level_offs: tuple[tuple[tuple[float, int], ...], tuple[tuple[float, int], ...]] = ((), ())

    def up(self, profile: Profile, level: float) -> _Motion:
        """From its begin up to the level."""
        if self.origin is None or self.here is None:
            return _NOTHING
        field_m, end = self.here.elevation_m, self.origin
        _, speeds = profile.climb(end.far_elevation_m, end.far_elevation_m + 100)
        ground = _NOTHING
        if self.begins == "roll":
            # Where the concrete is short the engines give more.
            rate = max(profile.takeoff_mps2, speeds[0] ** 2 / (2 * (end.length_m - 200)))
            ground = _roll(end, self.from_m, field_m, np.arange(0, speeds[0], rate))
        elif self.begins == "touch":
            _, before = profile.descent(end.elevation_m + 100, end.elevation_m)
            ground = _roll(end, self.from_m, field_m, np.linspace(before[-1], speeds[0], 9))
        lift_m = float(_concrete(end, self.from_m + ground.length_m))
        altitude, speed = profile.climb(lift_m, level)
        part = altitude > lift_m + self.from_height_m
        altitude, speed = altitude[part], speed[part]
        low = altitude - field_m < RUNWAY_HEIGHT_M
        air = _Motion.of(altitude, field_m, speed, np.where(low, TAKEOFF, CLIMB))
        for height, seconds in self.level_offs[0]:
            if height < level - field_m - 1_000:
                index = int(np.searchsorted(air.altitude, field_m + height))
                air = air.level_off(index, seconds, air.speed[index])
        return _Motion.join([ground, air])

    def down(self, profile: Profile, level: float) -> tuple[_Motion, float]:
        """From the level to its end, and where behind the threshold that is."""
        if self.target is None or self.there is None:
            return _NOTHING, 0.0
        field_m, end = self.there.elevation_m, self.target
        runway_m = float(_concrete(end, TOUCHDOWN_M))
        altitude, speed = profile.descent(level, runway_m)
        to_m, touch_mps = TOUCHDOWN_M, speed[-1]
        if self.ends == "around":
            part = altitude > runway_m + self.around_m
            to_m -= float(speed[~part].sum())
            altitude, speed = altitude[part], speed[part]
        height = altitude - field_m
        phase = np.where(height < APPROACH_HEIGHT_M, APPROACH, DESCENT)
        air = _Motion.of(
            altitude, field_m, speed, np.where(height < RUNWAY_HEIGHT_M, LANDING, phase)
        )
        for height_m, seconds in self.level_offs[1]:
            if height_m < level - field_m - 1_000:
                index = int(np.searchsorted(-air.altitude, -field_m - height_m))
                air = air.level_off(index, seconds, air.speed[index])
        if self.ends != "stop":
            return air, to_m
        rate = max(
            profile.landing_mps2,
            (touch_mps**2 - TAXI_MPS**2) / (2 * (end.length_m - TOUCHDOWN_M - 250)),
        )
        roll = _roll(end, to_m, field_m, np.arange(touch_mps, TAXI_MPS, -rate))
        return _Motion.join([air, roll]), to_m + roll.length_m


_NOTHING = _Motion.of(0.0, 0.0, np.zeros(0), GROUND)


class _Airframe:
    """One aircraft and all that is drawn by lot for it."""

    def __init__(
        self, plan: Plan, number: int, places: list[Field], library: tuple[Profile, ...]
    ) -> None:
        self.plan, self.number, self.places = plan, number, places
        self.rng = np.random.default_rng([plan.seed, number])
        self.profile = library[int(self.rng.integers(len(library)))]
        self.is_twin = number % SHARED_EVERY == SHARED_EVERY // 2
        twin = number % SHARED_EVERY == SHARED_EVERY // 2 - 1
        self.is_address_shared = self.is_twin or twin
        # 7,919 is prime to the number of addresses, so no two airframes share one by accident.
        place = (number - self.is_twin) * 7_919 + plan.seed * 104_729
        self.icao24 = f"{FIRST_ADDRESS + place % 0xE0000:06x}"
        self.start_at = int(plan.start.timestamp())

    def flights(self) -> list[Flight]:
        """All its flights, in their order."""
        rng, places = self.rng, self.places
        end_at = self.start_at + self.plan.days * DAY_S
        now = self.start_at + int(rng.integers(self.plan.days * DAY_S))
        home = places[int(rng.integers(len(places)))]
        callsign = self._callsign()
        if self.number % 12 == 3:
            return [self._overflight(now, callsign, home)]
        if self.number % 25 == 8:
            return [self._circuits(now, callsign, home)]
        if self.number % 25 == 16:
            return [self._on_ground(now, callsign, home)]
        found: list[Flight] = []
        legs = int(rng.integers(1, 6))
        stand = self._stand(home)
        here: Field | None = home if rng.random() < 0.65 else None
        before_s = int(rng.integers(60, 400))
        for leg in range(legs):
            there = self._destination(here, home, is_last=leg == legs - 1)
            turn_s, after_s, next_before_s = self._turnaround()
            parked_s = (before_s, after_s)
            flight, stand = self._line(leg, callsign, now, here, there, stand, parked_s)
            found.append(flight)
            now = int(flight.at[-1]) + 1 + max(0, turn_s - after_s - next_before_s)
            if there is None or now > end_at:
                break
            here, before_s = there, next_before_s
            callsign = self._callsign() if rng.random() < 0.8 else callsign
        return found

    # What is drawn by lot

    def _callsign(self) -> str:
        return f"SYN{self.rng.integers(1, 9_999)}{'ABCDEFGH'[self.rng.integers(8)]}"

    def _stand(self, place: Field) -> Floats:
        course, far = self.rng.uniform(0, 360), self.rng.uniform(50, 400)
        return offset(place.place, course, far)

    def _turnaround(self) -> tuple[int, int, int]:
        """Seconds at the stand, and of them with the transponder on at the begin and the end."""
        rng = self.rng
        kind = rng.random()
        low, high = (12, 20) if kind < 0.4 else (25, 90) if kind < 0.9 else (120, 480)
        turn = int(rng.integers(low * 60, high * 60))
        if rng.random() < 0.3 and turn < 5_400:
            after = int(turn * rng.uniform(0.3, 0.6))
            return turn, after, turn - after
        return turn, int(rng.integers(10, 200)), int(rng.integers(60, 400))

    def _destination(self, here: Field | None, home: Field, *, is_last: bool) -> Field | None:
        """Where to; None is beyond reach of the receivers."""
        if here is None:
            return home
        near = [
            place
            for place in self.places
            if 150e3 < float(distance_m(here.place, place.place)) < 3_200e3
        ]
        if not near or (is_last and self.rng.random() < 0.4):
            return None
        weights = np.array([1 / float(distance_m(here.place, one.place)) for one in near])
        return near[int(self.rng.choice(len(near), p=weights / weights.sum()))]

    def _runway(self, place: Field, at: int) -> RunwayEnd:
        """One of the runways in use: each airport turns them round once a day."""
        day, second = divmod(at, DAY_S)
        of_day = np.random.default_rng([self.plan.seed, day, int.from_bytes(place.icao.encode())])
        direction = (day + int(second >= of_day.uniform(6, 20) * 3_600)) % 2
        ends = place.directions[direction]
        return ends[int(self.rng.integers(len(ends)))]

    def _cruise_m(self, distance: float) -> float:
        low, high = (180, 230) if distance < 300e3 else (270, 350) if distance < 8e5 else (330, 400)
        return float(self.rng.integers(low, high) // 10 * 10) * 100 * FOOT_M

    def _level_offs(self, leg: _Leg) -> _Leg:
        """As air traffic control asks for them."""
        rng = self.rng
        up = (
            ((rng.uniform(1_000, 3_000), int(rng.integers(30, 90))),) if rng.random() < 0.25 else ()
        )
        down: list[tuple[float, int]] = []
        if rng.random() < 0.3:
            down.append((rng.uniform(2_000, 4_000), int(rng.integers(30, 180))))
        if rng.random() < 0.6:
            down.append((rng.uniform(600, 1_200), int(rng.integers(20, 70))))
        return replace(leg, level_offs=(up, tuple(down)))

    # Flights

    def _line(  # noqa: PLR0917
        self,
        leg_number: int,
        callsign: str,
        at: int,
        here: Field | None,
        there: Field | None,
        stand: Floats,
        parked_s: tuple[int, int],
    ) -> tuple[Flight, Floats]:
        """A flight between fields, of which one may lie beyond the receivers' reach."""
        rng, log = self.rng, _Log(at)
        anchor = here or there or self.places[0]
        far = offset(anchor.place, rng.uniform(0, 360), rng.uniform(300e3, 600e3))
        ends = (here.place if here else far, there.place if there else far)
        between = float(distance_m(*ends))
        off_block_at = on_block_at = origin = target = None
        if here:
            log.park(stand, here.elevation_m, parked_s[0])
            off_block_at = log.now
            origin = self._runway(here, log.now + 600)
            self._taxi_out(log, here, origin, stand)
        if there:
            target = self._runway(there, log.now + int(between / 200) + 1_200)
        leg = self._level_offs(
            _Leg(here, origin, "roll" if here else "en route",
                 there, target, "stop" if there else "en route")
        )  # fmt: skip
        # Both drawn for every flight, so that one does not change what follows the other.
        holds, is_around = int(rng.integers(1, 4)), rng.random() < 0.03
        holds *= rng.random() < 0.06
        if is_around and there:
            leg = replace(leg, ends="around", around_m=rng.uniform(60, 150))
        to_m = self._fly(log, leg, self._cruise_m(between), ends, holds)
        if leg.ends == "around":
            again = _Leg(there, target, "air", there, target, "stop", to_m, leg.around_m)
            to_m = self._circuit(log, again, rng.uniform(800, 1_100))
        if there and target:
            stand = self._taxi_in(log, there, target, to_m)
            on_block_at = log.now
            log.park(stand, there.elevation_m, parked_s[1])
        kind = "airline" if here and there else "outbound" if here else "inbound"
        flight = self._flight(
            log, leg_number, callsign, kind, (here, there), (off_block_at, on_block_at)
        )
        return flight, stand

    def _overflight(self, at: int, callsign: str, near: Field) -> Flight:
        """Past a field, at cruising level."""
        rng, log = self.rng, _Log(at)
        course = rng.uniform(0, 360)
        middle = offset(near.place, course + 90, rng.uniform(-60e3, 60e3))
        ends = (offset(middle, course + 180, 300e3), offset(middle, course, 300e3))
        leg = _Leg(None, None, "en route", None, None, "en route")
        self._fly(log, leg, self._cruise_m(2e6), ends, 0)
        return self._flight(log, 0, callsign, "overflight", (None, None), (None, None))

    def _circuits(self, at: int, callsign: str, place: Field) -> Flight:
        """Training: touch and go, at times go around, in the end stay."""
        rng, log = self.rng, _Log(at)
        stand = self._stand(place)
        log.park(stand, place.elevation_m, 120)
        off_block_at = log.now
        end = self._runway(place, log.now + 600)
        self._taxi_out(log, place, end, stand)
        leg = _Leg(place, end, "roll", place, end, "touch")
        for left in range(int(rng.integers(2, 6)), -1, -1):
            ends = "around" if rng.random() < 0.3 else "touch"
            leg = replace(leg, ends=ends if left else "stop", around_m=rng.uniform(60, 150))
            to_m = self._circuit(log, leg, rng.uniform(550, 900))
            is_around = ends == "around"
            leg = replace(leg, begins="air" if is_around else "touch", from_m=to_m,
                          from_height_m=leg.around_m if is_around else 0.0)  # fmt: skip
        stand = self._taxi_in(log, place, end, to_m)
        on_block_at = log.now
        log.park(stand, place.elevation_m, 60)
        blocks = (off_block_at, on_block_at)
        return self._flight(log, 0, callsign, "circuits", (place, place), blocks)

    def _on_ground(self, at: int, callsign: str, place: Field) -> Flight:
        """To another stand; or to the runway, a stretch along it, and back after all."""
        rng, log = self.rng, _Log(at)
        field_m = place.elevation_m
        stand, other = self._stand(place), self._stand(place)
        kind = "taxi" if self.number // 25 % 2 else "rejected_takeoff"
        log.park(stand, field_m, 120)
        off_block_at = log.now
        if kind == "taxi":
            log.taxi([stand, offset(place.place, 45.0, 800.0), other], field_m, field_m, field_m)
        else:
            end = self._runway(place, log.now + 600)
            self._taxi_out(log, place, end, stand)
            faster = np.arange(0, rng.uniform(35, 60), self.profile.takeoff_mps2)
            log.note(kind, place, end, log.now + len(faster))
            speed = np.concatenate([faster, np.arange(faster[-1], TAXI_MPS, -2.5)])
            roll = _roll(end, LINE_UP_M, field_m, speed)
            to_m = LINE_UP_M + roll.length_m
            log.move(way([_on(end, LINE_UP_M), _on(end, to_m)], is_rounded=False), roll)
            other = self._taxi_in(log, place, end, to_m)
        on_block_at = log.now
        log.park(other, field_m, 120)
        return self._flight(log, 0, callsign, kind, (place, place), (off_block_at, on_block_at))

    # Parts of flights

    def _taxi_out(self, log: _Log, place: Field, end: RunwayEnd, stand: Floats) -> None:
        short = offset(end.threshold, end.course_deg, LINE_UP_M, 150.0)
        runway_m = float(_concrete(end, LINE_UP_M))
        waits = (int(self.rng.integers(10, 120)), int(self.rng.integers(5, 40)))
        log.taxi([stand, short], place.elevation_m, runway_m, place.elevation_m, waits[0])
        log.taxi([short, _on(end, LINE_UP_M)], runway_m, runway_m, place.elevation_m, waits[1])

    def _taxi_in(self, log: _Log, place: Field, end: RunwayEnd, at_m: float) -> Floats:
        stand = self._stand(place)
        corners = [_on(end, at_m), offset(end.threshold, end.course_deg, at_m + 100, 150.0), stand]
        log.taxi(corners, float(_concrete(end, at_m)), place.elevation_m, place.elevation_m)
        return stand

    def _fly(
        self, log: _Log, leg: _Leg, level: float, ends: tuple[Floats, Floats], laps: int
    ) -> float:
        """By way of the departure turn, the great circle, a hold and the approach; see `_leg`."""
        rng = self.rng
        corners = [ends[0]]
        if leg.origin:
            course = leg.origin.course_deg
            turn = _on(leg.origin, leg.origin.length_m + rng.uniform(5e3, 8e3))
            corners = [turn]
            angle = _turn_deg(bearing_deg(turn, ends[1]) - course)
            if abs(angle) > 100:
                corners.append(offset(turn, course, 0.0, float(np.copysign(12e3, angle))))
        if leg.target is None:
            return self._leg(log, leg, level, [*corners, ends[1]], is_cruise=True)
        course, threshold, final = (
            leg.target.course_deg,
            leg.target.threshold,
            rng.uniform(14e3, 22e3),
        )
        fix, before = _on(leg.target, -final), corners[-1]
        approach = [fix]
        beside = _turn_deg(bearing_deg(fix, before) - course)
        if abs(beside) < 90:
            # From ahead: by downwind and base.
            side = float(np.copysign(9e3, beside))
            approach = [offset(threshold, course, 3e3, side),
                        offset(threshold, course, -final, side), fix]  # fmt: skip
        racetrack: list[Floats] = []
        if laps and float(distance_m(before, approach[0])) > 150e3:
            course = bearing_deg(approach[0], before) + 180
            start = offset(approach[0], course, -35e3)
            lap = ((8e3, 0.0), (8e3, 6.5e3), (0.0, 6.5e3), (0.0, 0.0))
            racetrack = [start, *[offset(start, course, *corner) for corner in lap * laps]]
        return self._leg(
            log, leg, level, corners, approach=approach, racetrack=racetrack, is_cruise=True
        )

    def _circuit(self, log: _Log, leg: _Leg, height: float) -> float:
        """Once round the aerodrome, back to the same runway; see `_leg`."""
        end = leg.target
        assert end is not None
        course, side = end.course_deg, float(self.rng.choice([-8e3, 8e3]))
        ahead, final = end.length_m + 6e3, self.rng.uniform(11e3, 14e3)
        corners = [
            _on(end, ahead), offset(end.threshold, course, ahead, side),
            offset(end.threshold, course, -final, side), _on(end, -final),
        ]  # fmt: skip
        return self._leg(log, leg, end.elevation_m + height, corners, is_cruise=False)

    def _leg(
        self,
        log: _Log,
        leg: _Leg,
        level: float,
        corners: list[Floats],
        *,
        is_cruise: bool,
        approach: list[Floats] | None = None,
        racetrack: list[Floats] | None = None,
    ) -> float:
        """Fly a leg: up, level for as long as it takes, and down to its end.

        Args:
            level: in metres above the sea; a lower one where the way is too short for it.
            corners: between the runways, then the racetrack, then the approach.

        Returns:
            Where it ended, in metres behind the threshold.
        """
        profile = self.profile
        _, to_m = leg.down(profile, level)
        first = [_on(leg.origin, leg.from_m)] if leg.origin else []
        last = [*(approach or []), *([_on(leg.target, to_m)] if leg.target else [])]
        along = way([*first, *corners, *(racetrack or []), *last])
        after_m = held_m = 0.0
        if racetrack:
            after_m = way([racetrack[-1], *last]).length_m
            held_m = along.length_m - after_m - way([*first, *corners, racetrack[0]]).length_m
        while True:
            up, (down, _) = leg.up(profile, level), leg.down(profile, level)
            left_m = along.length_m - up.length_m - down.length_m - held_m
            ends_mps = [part.speed[at] for part, at in ((up, -1), (down, 0)) if len(part)]
            speed = float(np.mean(ends_mps)) if ends_mps else cruise_mps(level)
            if left_m > 10 * speed:
                break
            level -= 100
        seconds = round(left_m / speed)
        bases = [part.base[0] for part in (down, up) if len(part)]
        steady = _Motion.of(
            level,
            bases[0] if bases else 0.0,
            np.full(seconds, left_m / seconds),
            CRUISE if is_cruise else LEVEL,
        )
        if racetrack:
            ahead_m = down.speed[::-1].cumsum()[::-1]
            index = int(np.argmax(ahead_m <= after_m))
            lasts = round(held_m / down.speed[index])
            down = down.level_off(index, lasts, held_m / lasts)
            begin = log.now + len(up) + len(steady) + index
            holds_at = (begin, begin + lasts)
        whole = _Motion.join([up, steady, down]).smooth()
        air = np.flatnonzero(~whole.ground)
        if leg.here and leg.begins == "roll":
            log.note("takeoff", leg.here, leg.origin, log.now + int(air[0]))
        if leg.there and racetrack:
            log.note("holding", leg.there, None, *holds_at)
        if leg.there and leg.ends in ENDS:
            log.note(ENDS[leg.ends], leg.there, leg.target, log.now + int(air[-1]) + 1)
        log.move(along, whole)
        return to_m

    def _flight(  # noqa: PLR0917
        self,
        log: _Log,
        leg_number: int,
        callsign: str,
        kind: str,
        places: tuple[Field | None, Field | None],
        blocks: tuple[int | None, int | None],
    ) -> Flight:
        motion = _Motion.join(log.motions)
        latitude, longitude, track = (
            np.concatenate(part) for part in zip(*log.places, strict=True)
        )
        rate = np.where(motion.ground, 0.0, np.gradient(motion.altitude))
        return Flight(
            f"{self.number:05d}-{leg_number}",
            self.icao24,
            self.is_address_shared,
            callsign,
            self.profile.aircraft_type,
            kind,
            *places,
            *blocks,
            tuple(log.movements),
            log.start_at + np.arange(len(motion)),
            latitude,
            longitude,
            motion.altitude,
            motion.altitude - motion.base,
            motion.speed,
            track,
            rate,
            motion.ground,
            motion.phase,
        )
