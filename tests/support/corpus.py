"""The corpus: small inputs of every kind that the sky or a file sends, and their truth.

Belongs here: the table of cases, each with what is true by construction. Does not: how a way is
drawn (`tracks`), how a file is written (`writers`), or comparing (`integration/test_corpus.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from skyops_assets.simulate.geometry import offset, unit
from tests.support import writers
from tests.support.tracks import (
    Pen,
    Row,
    changed,
    circuit,
    every,
    flagged,
    landing,
    lined_up,
    on_final,
    runway,
    takeoff,
    unheard,
    without,
)

START = datetime(2024, 5, 14, tzinfo=UTC)
APART = timedelta(hours=3)
"""Between the moments of two cases: nothing of one is the weather, or the traffic, of another."""

EHAM_24, EHAM_18R = runway("EHAM", "24"), runway("EHAM", "18R")
LFBO_14R = runway("LFBO", "14R")
NORTH_SEA = offset(EHAM_24.threshold, 320, 60_000)
"""Within the rings of EHAM, with no other field near."""


@dataclass(frozen=True)
class Moved:
    """A movement that took place, and how exactly it is to be found.

    Attributes:
        runway: its end; None where no direction can be asked for.
        within_s: seconds that the time may be off.
        is_exact: whether the runway's end is to be named where it is known; else its direction.
    """

    movement: str
    airport: str
    runway: str | None
    at: datetime
    within_s: float = 10
    is_exact: bool = True


@dataclass(frozen=True)
class Truth:
    """What is true of one case's aircraft.

    Attributes:
        moved: all its movements, in order.
        may: movements that nobody can be blamed for finding, or for not.
        departure, arrival, status: of its last flight, what one of which is to be said.
        max_height_m: above the nearest field, to 60 m.
        holdings: how many.
        crossings: rings that it is seen to enter.
        unlike: phases in which it never was.
    """

    moved: Sequence[Moved] = ()
    may: Sequence[Moved] = ()
    flights: int = 1
    departure: Sequence[str] = ()
    arrival: Sequence[str] = ()
    status: Sequence[str] = ()
    callsign: str | None = None
    max_height_m: float | None = None
    holdings: int = 0
    crossings: int | None = None
    unlike: Sequence[str] = ()


Drawn = tuple[Sequence[Row], Truth]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        draw: makes its rows and its truth from an address and a moment.
        write: makes a file, or a folder of files, of the rows.
        ending: of the file's name.
        rejected: rows that are to be rejected.
    """

    name: str
    draw: Callable[[str, datetime], Drawn]
    write: Callable[[Path, Sequence[Row]], None] = writers.traffic_csv
    ending: str = ".csv"
    rejected: int = 0


@dataclass(frozen=True)
class Family:
    """Cases that share a database.

    Attributes:
        watched: the watch list.
        has_runways: whether the runways are known.
        has_later: whether somebody flies on afterwards, so that nothing is provisional.
    """

    name: str
    watched: str
    cases: tuple[Case, ...]
    has_runways: bool = True
    has_later: bool = True

    def drawn(self) -> list[tuple[Case, str, Drawn]]:
        """Each case with its address, rows and truth."""
        number = FAMILIES.index(self)
        return [
            (case, address := f"c{number}{place:04x}", case.draw(address, START + place * APART))
            for place, case in enumerate(self.cases, start=1)
        ]


def later(family: Family) -> list[Row]:
    """Somebody far away, long after all cases."""
    at = START + (len(family.cases) + 2) * APART
    return Pen("c0ffff", at, unit(45.0, -30.0), 270, 10_000).fly(30, 230).rows


# Landings at EHAM, and what reception loses of them.


def a_landing(icao24: str, at: datetime) -> Drawn:
    rows = landing(icao24, EHAM_24, at, callsign="KLM12S").rows
    return rows, Truth(
        [Moved("landing", "EHAM", "24", at)],
        departure=["no_ground_contact"], arrival=["ground_contact"], status=["landed"],
        callsign="KLM12S", crossings=0,
    )  # fmt: skip


def a_takeoff(icao24: str, at: datetime) -> Drawn:
    rows = takeoff(icao24, EHAM_24, at, callsign="KLM12S").rows
    return rows, Truth(
        [Moved("takeoff", "EHAM", "24", at)],
        departure=["ground_contact"], arrival=["last_seen_en_route"], status=["lost"],
        unlike=["LANDING", "APPROACH", "DESCENT"],
    )  # fmt: skip


def altered(alter: Callable[[Sequence[Row], datetime], Sequence[Row]], **truth: object) -> Callable[
    [str, datetime], Drawn
]:  # fmt: skip
    """The landing with its rows altered; its truth stays, but for what is given."""

    def draw(icao24: str, at: datetime) -> Drawn:
        rows, true = a_landing(icao24, at)
        return alter(rows, at), replace(true, **truth)

    return draw


def lacking(*names: str, **truth: object) -> Callable[[str, datetime], Drawn]:
    """The landing without these columns' values."""
    return altered(lambda rows, at: without(rows, *names), **truth)


def sparse_landing(seconds: int, last_s: int, within_s: float) -> Callable[[str, datetime], Drawn]:
    """A fix in so many seconds, the last in the air `last_s` before touch-down."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = on_final(icao24, EHAM_24, at, seconds=1500).touch(EHAM_24).taxi_in(600)
        rows = every(pen.rows, seconds, meeting=at - timedelta(seconds=last_s))
        return rows, Truth(
            [Moved("landing", "EHAM", "24", at, within_s, seconds < 100)],
            status=["landed"],
            unlike=["TAKEOFF"],
        )

    return draw


def sparse_takeoff(seconds: int, first_s: int, within_s: float) -> Callable[[str, datetime], Drawn]:
    """A fix in so many seconds, the first in the air `first_s` after lift-off."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = lined_up(icao24, EHAM_24, at, held_s=900)
        pen.fly(30, 75, 8, to_mps=85).fly(1170, 130, 7)
        rows = every(pen.rows, seconds, meeting=at + timedelta(seconds=first_s))
        moved = Moved("takeoff", "EHAM", "24", at, within_s, seconds < 100)
        return rows, Truth([moved], unlike=["LANDING"])

    return draw


def silent(seconds: int) -> Callable[[str, datetime], Drawn]:
    """From 40 m above the runway on unheard for so long, then on the ground."""
    return altered(
        lambda rows, at: unheard(rows, at - timedelta(seconds=11), seconds),
        arrival=["ground_contact", "signal_lost"],
    )


def flickers(*before_s: int) -> Callable[[str, datetime], Drawn]:
    """A ground flag of one second at these seconds before touch-down."""
    return altered(
        lambda rows, at: flagged(rows, *(at - timedelta(seconds=s) for s in before_s)),
    )


def with_qnh(
    hpa: float, flies: Callable[..., Pen], **truth: object
) -> Callable[[str, datetime], Drawn]:
    """Under an air pressure that the altimeters do not know."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = flies(icao24, EHAM_24, at, qnh_hpa=hpa)
        movement, within_s = ("landing", 20) if flies is landing else ("takeoff", 10)
        moved = Moved(movement, "EHAM", "24", at, within_s)
        return pen.rows, replace(Truth([moved]), **truth)

    return draw


def garbled_callsign(icao24: str, at: datetime) -> Drawn:
    """On the ground: zeros, a bit error, a blank too many."""
    rows, truth = a_landing(icao24, at)
    for after_s, number, said in ((15, 1, "00000000"), (40, 1, "KLM12Q"), (60, 30, "KLM 12S")):
        moment = at + timedelta(seconds=after_s)
        rows = changed(rows, moment, number, lambda row, said=said: {"callsign": said})
    return rows, truth


def turnaround(icao24: str, at: datetime) -> Drawn:
    """Lands, stands, and leaves under another callsign."""
    rows = landing(icao24, EHAM_24, at, callsign="KLM12S").roll(840, 0).rows
    left_at = at + timedelta(seconds=1500)
    rows += takeoff(icao24, EHAM_18R, left_at, callsign="KLM13T").rows
    return rows, Truth(
        [Moved("landing", "EHAM", "24", at), Moved("takeoff", "EHAM", "18R", left_at)],
        flights=2, callsign="KLM13T",
    )  # fmt: skip


def touch_and_go(icao24: str, at: datetime) -> Drawn:
    pen = on_final(icao24, EHAM_24, at).touch(EHAM_24).roll(10, 68).fly(5, 70, 4)
    circuit(pen, EHAM_24)
    down_at = pen.at
    return pen.taxi_in().rows, Truth(
        [Moved("touch_and_go", "EHAM", "24", at), Moved("landing", "EHAM", "24", down_at)],
        arrival=["ground_contact"], status=["landed"],
    )  # fmt: skip


def go_around(icao24: str, at: datetime) -> Drawn:
    """Down to 60 m above the runway."""
    pen = on_final(icao24, EHAM_24, at).fly(284, 70, -70 * 0.0524)
    lowest_at = pen.at
    circuit(pen, EHAM_24)
    down_at = pen.at
    return pen.taxi_in().rows, Truth(
        [Moved("go_around", "EHAM", "24", lowest_at, 15), Moved("landing", "EHAM", "24", down_at)],
        arrival=["ground_contact"], status=["landed"],
    )  # fmt: skip


def one_circuit(icao24: str, at: datetime) -> Drawn:
    pen = lined_up(icao24, EHAM_24, at)
    circuit(pen, EHAM_24)
    down_at = pen.at
    return pen.taxi_in().rows, Truth(
        [Moved("takeoff", "EHAM", "24", at), Moved("landing", "EHAM", "24", down_at)],
        departure=["ground_contact"], arrival=["ground_contact"], status=["landed"],
    )  # fmt: skip


def from_afar(icao24: str, at: datetime) -> Drawn:
    """Over the rings of 100, 50 and 40 NM, and down."""
    pen = Pen(icao24, at, EHAM_24.at(-210_000), 0, 7_000, callsign="KLM12S")
    pen.fly_to(EHAM_24.at(-20_600), 150, EHAM_24.elevation_m + 1_100).touch(EHAM_24)
    late = pen.at - at
    rows = [{**row, "time_position": row["time_position"] - late} for row in pen.taxi_in().rows]
    return rows, Truth([Moved("landing", "EHAM", "24", at)], crossings=3,
                       arrival=["ground_contact"])  # fmt: skip


def survey(icao24: str, at: datetime) -> Drawn:
    """Six lines of twenty minutes, then it lands: over two hours within the rings."""
    pen = Pen(icao24, at, offset(EHAM_24.threshold, 45, 120_000), 225, 1_500, category=2)
    pen.fly_to(offset(EHAM_24.threshold, 45, 45_000), 60, 1_500)
    pen.track_deg = 0.0
    for turn in (3, -3, 3, -3, 3, -3):
        pen.fly(1_200, 60).fly(60, 60, turn_deg_s=turn)
    pen.fly_to(EHAM_24.at(-12_000), 60, 650).touch(EHAM_24, 60)
    late = pen.at - at
    moved = [{**row, "time_position": row["time_position"] - late}
             for row in pen.roll(42, 60, 5).roll(120, 5).roll(60, 0).rows]  # fmt: skip
    rows = every(moved, 10, meeting=at)
    return rows, Truth([Moved("landing", "EHAM", "24", at, 20)], crossings=2,
                       arrival=["ground_contact"], unlike=["TAKEOFF"])  # fmt: skip


def holding(icao24: str, at: datetime) -> Drawn:
    """Three laps of a racetrack of four minutes at 3,000 m, and on."""
    pen = Pen(icao24, at, NORTH_SEA, 90, 3_000).fly(60, 110)
    for _ in range(3):
        pen.fly(60, 110).fly(60, 110, turn_deg_s=3).fly(60, 110).fly(60, 110, turn_deg_s=3)
    return pen.fly(120, 110).rows, Truth(holdings=1, unlike=["GROUND", "TAKEOFF", "LANDING"])


def figure_of_eight(icao24: str, at: datetime) -> Drawn:
    """More than a full turn to the right, then as much to the left: two holdings, not none."""
    pen = Pen(icao24, at, NORTH_SEA, 90, 3_000).fly(60, 110)
    pen.fly(135, 110, turn_deg_s=3).fly(135, 110, turn_deg_s=-3).fly(120, 110)
    return pen.rows, Truth(holdings=2)


def glider(icao24: str, at: datetime) -> Drawn:
    """Circles of 25 s in a thermal: neither a holding nor a movement."""
    pen = Pen(icao24, at, NORTH_SEA, 90, 900, category=9)
    pen.fly(400, 25, 2, turn_deg_s=14.4).fly(300, 30, -1)
    return pen.rows, Truth(arrival=["no_ground_contact"], unlike=["GROUND"])


def low_helicopter(icao24: str, at: datetime) -> Drawn:
    """Passes 50 m high and 20 m/s slow 2 km beside the field, and climbs away: it never landed."""
    pen = Pen(icao24, at, offset(EHAM_24.threshold, 150, 3_500), 238, 300, category=8)
    pen.fly(80, 40, -3.125).fly(200, 20).fly(200, 40, 3)
    return every(pen.rows, 10, meeting=at), Truth(unlike=["GROUND"])


def shared_address(icao24: str, at: datetime) -> Drawn:
    """One lands while another that sends the same address crosses the Alps."""
    rows, truth = a_landing(icao24, at)
    start = rows[0]["time_position"]
    other = Pen(icao24, start, unit(46.5, 9.0), 120, 11_000, callsign="SWR77").fly(480, 240).rows
    mixed = sorted([*rows[::2], *other[1::2]], key=lambda row: row["time_position"])
    return mixed, replace(truth, flights=2, callsign=None, crossings=None, departure=(),
                          arrival=(), status=())  # fmt: skip


def shuffled(rows: Sequence[Row], at: datetime) -> Sequence[Row]:
    """All rows twice, in no order."""
    found = [*rows, *rows]
    random.Random(1).shuffle(found)
    return found


def cruise(icao24: str, at: datetime, **truth: object) -> Drawn:
    rows = Pen(icao24, at, NORTH_SEA, 60, 10_000, callsign="BAW1").fly(600, 230).rows
    true = Truth(
        departure=["first_seen_en_route"], arrival=["last_seen_en_route"], status=["lost"],
        max_height_m=10_000, unlike=["GROUND", "TAKEOFF", "LANDING"],
    )  # fmt: skip
    return rows, replace(true, **truth)


def garbage(number: int) -> Callable[[str, datetime], Drawn]:
    """So many rows of 19,000 m in a cruise."""

    def draw(icao24: str, at: datetime) -> Drawn:
        rows, truth = cruise(icao24, at)
        moment = at + timedelta(seconds=300)
        return changed(rows, moment, number, lambda row: {"baro_altitude_m": 19_000.0}), truth

    return draw


def cruise_flagged(after_s: int) -> Callable[[str, datetime], Drawn]:
    """A ground flag of one second in a cruise."""

    def draw(icao24: str, at: datetime) -> Drawn:
        rows, truth = cruise(icao24, at)
        return flagged(rows, at + timedelta(seconds=after_s)), truth

    return draw


# Heard once.


def once(row_of: Callable[[Sequence[Row]], Row], pen_of: Callable[[str, datetime], Pen],
         **truth: object) -> Callable[[str, datetime], Drawn]:  # fmt: skip
    """One row of a way; of what it shows some may be told."""

    def draw(icao24: str, at: datetime) -> Drawn:
        may = [Moved(kind, "EHAM", "24", at, 300, False) for kind in ("takeoff", "landing")]
        row = row_of(pen_of(icao24, at).rows)
        return [row], replace(Truth(may=may), **truth)

    return draw


climbing_once = once(lambda rows: rows[60 + 38 + 40], lambda i, at: takeoff(i, EHAM_24, at))
on_final_once = once(lambda rows: rows[260], lambda i, at: landing(i, EHAM_24, at))
on_ground_once = once(
    lambda rows: rows[-1], lambda i, at: landing(i, EHAM_24, at),
    may=(), departure=["never_airborne"], arrival=["never_airborne"], status=["on_ground"],
)  # fmt: skip
cruising_once = once(
    lambda rows: rows[0], lambda i, at: Pen(i, at, NORTH_SEA, 60, 10_000).fly(1, 230),
    may=(), unlike=["GROUND"],
)  # fmt: skip


# Many days.


def daily(icao24: str, at: datetime) -> Drawn:
    """One circuit a day, twelve days running, at the same time of the day."""
    rows: list[Row] = []
    moved: list[Moved] = []
    for day in range(12):
        part, truth = one_circuit(icao24, at - timedelta(days=30 - day))
        rows += every(part, 5, meeting=at)
        moved += [replace(one, within_s=20) for one in truth.moved]
    return rows, Truth(moved, flights=12)


def never_silent(icao24: str, at: datetime) -> Drawn:
    """Two days without a ground flag, a circuit at the same time of each, and heard in between."""
    first = at - timedelta(days=60)
    pen = lined_up(icao24, EHAM_24, first)
    moved = [Moved("takeoff", "EHAM", "24", first, 30)]
    circuit(pen, EHAM_24)
    moved.append(Moved("landing", "EHAM", "24", pen.at, 30))
    rows = list(pen.taxi_in().rows)
    second = first + timedelta(days=1)
    stands_from = pen.at
    again = lined_up(icao24, EHAM_24, second)
    stand = rows[-1]
    while stands_from < again.rows[0]["time_position"]:
        # By a metre: parked aircraft wander, and a place that never changes is a lost one's.
        wander = 0.00001 * (stands_from.minute % 2)
        latitude = stand["latitude_deg"] + wander
        rows.append({**stand, "time_position": stands_from, "latitude_deg": latitude})
        stands_from += timedelta(minutes=3)
    moved.append(Moved("takeoff", "EHAM", "24", second, 30))
    circuit(again, EHAM_24)
    moved.append(Moved("landing", "EHAM", "24", again.at, 30))
    rows += again.taxi_in().rows
    return rows, Truth(moved, flights=2)


# On the ground, and en route, without end.


def parked(*names: str) -> Callable[[str, datetime], Drawn]:
    """At a stand for twenty minutes, without these values."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = Pen(icao24, at, offset(LFBO_14R.threshold, 60, 900), 143, 152).roll(1200, 0)
        return without(pen.rows, *names), Truth(
            departure=["never_airborne"], arrival=["never_airborne"], status=["on_ground"],
            unlike=["TAKEOFF", "CLIMB", "LANDING", "LEVEL", "CRUISE"], crossings=0,
        )  # fmt: skip

    return draw


def taxiing(icao24: str, at: datetime) -> Drawn:
    pen = Pen(icao24, at, LFBO_14R.threshold, 143, 152).roll(150, 8).roll(30, 5, turn_deg_s=6)
    pen.roll(150, 8).roll(60, 0)
    return pen.rows, Truth(departure=["never_airborne"], arrival=["never_airborne"],
                           status=["on_ground"])  # fmt: skip


def en_route(icao24: str, at: datetime) -> Drawn:
    pen = Pen(icao24, at, unit(44.0, 1.0), 200, 11_000).fly(900, 240)
    return pen.rows, Truth(
        departure=["out_of_area"], arrival=["out_of_area"], status=["lost"], max_height_m=10_900,
        unlike=["GROUND"], crossings=0,
    )  # fmt: skip


def en_route_bare(icao24: str, at: datetime) -> Drawn:
    rows, _ = en_route(icao24, at)
    return rows, Truth(departure=["no_altitude"], arrival=["no_altitude"])


# Far places; runways are not known there.


def landing_at(airport: str, name: str, hpa: float = 1013.25, seconds: int = 300, *,
               flag: bool = True) -> Callable[[str, datetime], Drawn]:  # fmt: skip
    """Timed by the contact, which without a flag is when it is slow: 31 s after touch-down."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = landing(icao24, runway(airport, name), at, qnh_hpa=hpa, seconds=seconds)
        rows = pen.rows if flag else without(pen.rows, "is_on_ground")
        moved = Moved("landing", airport, name, at, 20 if flag else 45)
        return rows, Truth([moved], status=["landed"])

    return draw


def takeoff_at(airport: str, name: str) -> Callable[[str, datetime], Drawn]:
    def draw(icao24: str, at: datetime) -> Drawn:
        pen = takeoff(icao24, runway(airport, name), at)
        return pen.rows, Truth([Moved("takeoff", airport, name, at, 30)], unlike=["LANDING"])

    return draw


def over_the_pole(sign: int) -> Callable[[str, datetime], Drawn]:
    """Over the pole itself, and a row exactly there, on both sides of the date line."""

    def draw(icao24: str, at: datetime) -> Drawn:
        pen = Pen(icao24, at, unit(sign * 88.0, 10.0), 0.0 if sign > 0 else 180.0, 10_500)
        rows = every(pen.fly(1_780, 250).rows, 5, meeting=at)
        middle = min(rows, key=lambda row: 90 - abs(row["latitude_deg"]))["time_position"]
        for step, longitude in ((0, 180.0), (1, -180.0), (2, 0.0)):
            moment = middle + timedelta(seconds=step)
            extra = {**rows[0], "time_position": moment, "latitude_deg": sign * 90.0,
                     "longitude_deg": longitude}  # fmt: skip
            rows = [row for row in rows if row["time_position"] != moment] + [extra]
        rows.sort(key=lambda row: row["time_position"])
        return rows, Truth(unlike=["GROUND", "TAKEOFF", "LANDING"], crossings=3 if sign < 0 else 0)

    return draw


def landing_at_the_pole(icao24: str, at: datetime) -> Drawn:
    """Touches down 400 m before the South Pole and rolls over it."""
    pen = Pen(icao24, at, unit(-89.80, 20.0), 180.0, 2_834 + 1_140)
    pen.fly_to(unit(-89.9964, 20.0), 70, 2_834)
    late = pen.at - at
    pen.roll(42, 70, 8).roll(120, 0)
    rows = [{**row, "time_position": row["time_position"] - late} for row in pen.rows]
    return rows, Truth([Moved("landing", "NZSP", None, at, 30)], status=["landed"])


# Files.


def at_blagnac(icao24: str, at: datetime) -> Drawn:
    rows = landing(icao24, LFBO_14R, at, callsign="AFR12K").rows
    return rows, Truth([Moved("landing", "LFBO", "14R", at)], arrival=["ground_contact"],
                       status=["landed"], callsign="AFR12K")  # fmt: skip


def at_blagnac_every_10s(icao24: str, at: datetime) -> Drawn:
    rows, truth = at_blagnac(icao24, at)
    return every(rows, 10, meeting=at), replace(
        truth, moved=[replace(one, within_s=20) for one in truth.moved]
    )


def spoilt(
    spoil: Callable[[bytes], bytes], line: int = 100
) -> Callable[[Path, Sequence[Row]], None]:
    """A CSV with one line spoilt."""

    def write(path: Path, rows: Sequence[Row]) -> None:
        writers.traffic_csv(path, rows)
        lines = path.read_bytes().splitlines()
        lines[line] = spoil(lines[line])
        path.write_bytes(b"\r\n".join(lines) + b"\r\n")

    return write


def header_only(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(writers.csv_text([], list(writers.traffic(rows[0]))))


def with_papers(path: Path, rows: Sequence[Row]) -> None:
    """A folder with a licence and a word to the reader beside the data."""
    path.mkdir()
    writers.traffic_csv(path / "states.csv", rows)
    (path / "LICENSE.txt").write_text("For research only.\n")
    (path / "README.md").write_text("# One week of states\n")


def spelt_na(path: Path, rows: Sequence[Row]) -> None:
    """As R writes what is missing."""
    writers.traffic_csv(path, without(rows, "geo_altitude_m", "squawk"))
    path.write_text(path.read_text().replace(",,", ",NA,").replace(",,", ",NA,"))


def _without_flag(path: Path, rows: Sequence[Row]) -> None:
    writers.traffic_csv(path, rows, "onground")


def _bare(path: Path, rows: Sequence[Row]) -> None:
    writers.traffic_csv(
        path, rows, "callsign", "altitude", "geoaltitude", "groundspeed", "track", "vertical_rate",
        "squawk", "onground",
    )  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    Family("one_fix", "EHAM", (Case("climbing", climbing_once),), has_later=False),
    Family(
        "nothing_moves", "SLLP",
        (
            Case("parked", parked()),
            Case("parked_without_altitude", parked("baro_altitude_m", "geo_altitude_m")),
            Case("parked_without_flag", parked(), write=_without_flag),
            Case("parked_with_track_only",
                 parked("baro_altitude_m", "geo_altitude_m", "velocity_mps", "vertical_rate_mps")),
            Case("taxiing", taxiing),
            Case("en_route", en_route),
            Case("en_route_bare", en_route_bare, write=_bare),
            Case("another_en_route_bare", en_route_bare, write=_bare),
            Case("cruising_once", cruising_once),
            Case("on_ground_once", on_ground_once),
        ),
        has_runways=False,
        # Most rows have neither speed nor altitude.
    ),
    Family(
        "schiphol", "EHAM",
        (
            Case("landing", a_landing),
            Case("takeoff", a_takeoff),
            Case("circuit", one_circuit),
            Case("from_afar", from_afar),
            Case("turnaround", turnaround),
            Case("touch_and_go", touch_and_go),
            Case("go_around", go_around),
            Case("holding", holding),
            Case("figure_of_eight", figure_of_eight),
            Case("survey", survey),
            Case("glider", glider),
            Case("low_helicopter", low_helicopter, writers.rest_answers, ""),
            Case("sparse_30s_landing", sparse_landing(30, 20, 60)),
            Case("sparse_30s_takeoff", sparse_takeoff(30, 20, 60)),
            Case("sparse_60s_landing", sparse_landing(60, 40, 90)),
            Case("sparse_60s_takeoff", sparse_takeoff(60, 40, 90)),
            Case("sparse_205s_landing", sparse_landing(205, 60, 240)),
            Case("sparse_205s_takeoff", sparse_takeoff(205, 50, 240)),
            Case("sparse_300s_landing", sparse_landing(300, 60, 300)),
            Case("sparse_300s_takeoff", sparse_takeoff(300, 50, 300)),
            Case("gap_60s", silent(60)),
            Case("gap_90s", silent(90)),
            Case("gap_100s", silent(100)),
            Case("gap_115s", silent(115)),
            Case("gap_130s", silent(130)),
            Case("flicker_30s", flickers(30)),
            Case("flicker_60s", flickers(60)),
            Case("flicker_20s", flickers(20)),
            Case("flicker_45s", flickers(45)),
            Case("flicker_90s", flickers(90)),
            Case("flickers", flickers(110, 75, 15)),
            Case("garbled_callsign", garbled_callsign),
            Case("shared_address", shared_address),
            Case("shuffled_and_doubled", altered(shuffled)),
            Case("garbage_1", garbage(1)),
            Case("garbage_2", garbage(2)),
            Case("garbage_3", garbage(3)),
            Case("garbage_5", garbage(5)),
            Case("cruise_flagged_within", cruise_flagged(300)),
            Case("cruise_flagged_at_end", cruise_flagged(599)),
            Case("no_flag", lacking(), write=_without_flag),
            Case("no_callsign", lacking("callsign", callsign=None)),
            Case("no_speed", lacking("velocity_mps")),
            Case("no_track", lacking("true_track_deg")),
            Case("no_rate", lacking("vertical_rate_mps")),
            Case("no_motion", lacking("velocity_mps", "true_track_deg", "vertical_rate_mps")),
            Case("no_altitude", lacking("baro_altitude_m", "geo_altitude_m",
                                        departure=["no_altitude"])),
            Case("geometric_altitude_only", lacking("baro_altitude_m", departure=())),
            Case("qnh_960", with_qnh(960, landing)),
            Case("qnh_1045", with_qnh(1045, landing)),
            Case("qnh_960_no_flag", with_qnh(960, landing), write=_without_flag),
            Case("qnh_985_no_flag", with_qnh(985, landing), write=_without_flag),
            Case("qnh_1045_no_flag", with_qnh(1045, landing), write=_without_flag),
            Case("no_flag_takeoff", with_qnh(1013.25, takeoff), write=_without_flag),
            Case("qnh_1045_no_flag_takeoff", with_qnh(1045, takeoff), write=_without_flag),
            Case("qnh_960_no_flag_takeoff", with_qnh(960, takeoff), write=_without_flag),
            Case("climbing_once", climbing_once),
            Case("on_final_once", on_final_once),
            Case("twelve_days", daily),
            Case("two_days_never_silent", never_silent, write=_without_flag),
        ),
    ),
    Family(
        "far_places", "EHAM,NFNM,SLLP,LLMZ,NZSP,KDEN",
        (
            Case("over_the_date_line", landing_at("NFNM", "11", seconds=900)),
            Case("north_pole", over_the_pole(1)),
            Case("south_pole", over_the_pole(-1)),
            Case("landing_at_the_pole", landing_at_the_pole),
            Case("high_field", landing_at("SLLP", "10")),
            Case("high_field_takeoff", takeoff_at("SLLP", "10")),
            Case("high_field_no_flag", landing_at("SLLP", "10", flag=False)),
            Case("low_field", landing_at("LLMZ", "01")),
            Case("low_field_1045", landing_at("LLMZ", "01", 1045)),
            Case("below_the_sea", landing_at("EHAM", "24", flag=False)),
            Case("no_runways_landing", landing_at("EHAM", "18C")),
            Case("no_runways_takeoff", takeoff_at("EHAM", "18C")),
        ),
        has_runways=False,
    ),
    Family(
        "files", "LFBO",
        (
            Case("traffic_csv", at_blagnac),
            Case("traffic_csv_gz", at_blagnac, writers.traffic_csv_gz, ".csv.gz"),
            Case("traffic_json", at_blagnac, writers.traffic_json, ".json"),
            Case("traffic_parquet", at_blagnac, writers.traffic_parquet, ".parquet"),
            Case("history_csv", at_blagnac, writers.history_csv),
            Case("history_parquet", at_blagnac, writers.history_parquet, ".parquet"),
            Case("rest_answers", at_blagnac_every_10s, writers.rest_answers, ""),
            Case("damaged_value", at_blagnac, spoilt(lambda line: line.replace(b"43.", b"4x3.")),
                 rejected=1),
            Case("torn_line", at_blagnac, spoilt(lambda line: line[:40]), rejected=1),
            Case("stray_quote", at_blagnac, spoilt(lambda line: line.replace(b"AFR", b'"FR')),
                 rejected=1),
            Case("latin_1_byte", at_blagnac, spoilt(lambda line: line.replace(b"AFR", b"\xc5FR")),
                 rejected=1),
            Case("spelt_na", at_blagnac, spelt_na),
            Case("with_papers", at_blagnac, with_papers, ""),
            Case("header_only", lambda icao24, at: (at_blagnac(icao24, at)[0], Truth(flights=0)),
                 header_only),
        ),
    ),
)  # fmt: skip
