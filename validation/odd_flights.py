"""Whether odd flights stand out: planted ones in simulated traffic, and the highest real scores.

`skyops exec -- python -m validation.odd_flights [FLIGHTS SEED]` simulates airliners, plants twenty
odd flights among them (`plant`), loads both, runs dbt in a database of its own, scores the flights
and prints where the planted ones came.

`... validation.odd_flights PATH ...` scores the flights of real recordings and prints the
strangest, with a picture in the folder where it runs; with `demo` for PATH, those of the demo's
recording, with `samples`, those beside it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skyops_assets.simulate.fields import AIRPORTS, Field, fields
from skyops_assets.simulate.flights import Flight, Plan
from skyops_assets.simulate.geometry import Floats, Way, bearing_deg, distance_m, offset, way
from skyops_assets.simulate.reception import FLOORS_M, Quality, receive
from skyops_assets.simulate.truth import airframes

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

START = datetime(2024, 1, 31, tzinfo=UTC)
DAYS = 2
STEP_S = 10
"""As a feed that is asked every ten seconds."""
KINDS = ("holding", "diversion", "survey", "low loops")
EACH = 5
ROLL_S = 60
SPEED_AT_M, SPEED_MPS = (0, 100, 600, 3_000, 6_000, 11_000), (68, 72, 90, 135, 190, 235)
"""How fast an airliner flies by its height above the field."""
FIRST_ADDRESS = 0xE90000
"""In no State's block, as the simulation's own."""


@dataclass(frozen=True)
class Planted:
    """An odd flight."""

    icao24: str
    kind: str


def ordinary(number: int, seed: int) -> Iterator[dict[str, Any]]:
    """State vectors of so many simulated flights, or a few more.

    The simulation's own circuits and holdings are left out: they are odd too. So is what never
    flies. Go-arounds stay.
    """
    plan = Plan(seed, START, DAYS, AIRPORTS)
    floors = dict(zip(AIRPORTS, FLOORS_M, strict=True))
    made = 0
    for chain in airframes(plan):
        for place, flight in enumerate(chain):
            is_airliner = flight.kind in ("airline", "inbound", "outbound", "overflight")
            if not is_airliner or flight.is_address_shared or flight.first("holding"):
                continue
            until = int(chain[place + 1].at[0]) if place + 1 < len(chain) else None
            yield _received(flight, floors, seed, until)
            made += 1
        if made >= number:
            return


def _received(
    flight: Flight, floors: dict[str, float | None], seed: int, until: int | None
) -> dict[str, Any]:
    got = receive(flight, floors, Quality(), seed, until)
    got = got.take(np.flatnonzero((got.at % STEP_S == 0) & (got.at == got.position_at)))
    return {
        "icao24": [flight.icao24] * len(got.at),
        "callsign": [flight.callsign] * len(got.at),
        "time_position": got.at,
        "latitude_deg": got.latitude_deg,
        "longitude_deg": got.longitude_deg,
        "baro_altitude_m": got.baro_altitude_m,
        "is_on_ground": got.is_on_ground,
        "velocity_mps": got.velocity_mps,
        "true_track_deg": got.track_deg,
        "vertical_rate_mps": got.vertical_rate_mps,
    }


def plant(seed: int, each: int = EACH) -> tuple[list[Planted], list[dict[str, Any]]]:
    """So many odd flights of each kind, and their state vectors."""
    luck = np.random.default_rng(seed)
    places = [one for one in fields() if one.elevation_m < 800]
    made, columns = [], []
    for number in range(each * len(KINDS)):
        kind = KINDS[number % len(KINDS)]
        home = places[int(luck.integers(len(places)))]
        drawn = _DRAWN[kind](luck, home, places)
        planted = Planted(f"{FIRST_ADDRESS + number:06x}", kind)
        start = START + timedelta(seconds=int(luck.integers(DAYS * 86_400)))
        made.append(planted)
        columns.append(_flown(luck, planted.icao24, start, drawn))
    return made, columns


Corner = tuple[float, float]
Drawn = tuple[Way, list[Corner], float]
"""A way; corners of its altitudes, each at a distance in metres; and the highest speed."""


def _holding(luck: np.random.Generator, home: Field, _: list[Field]) -> Drawn:
    """From 250 km away down to a racetrack, three to eight times round it, and in."""
    end = home.directions[0][0]
    far = offset(home.place, luck.uniform(0, 360), 250e3)
    fix = offset(home.place, bearing_deg(home.place, far), 45e3)
    course = bearing_deg(fix, home.place)
    lap = ((9e3, 0.0), (9e3, 6.5e3), (0.0, 6.5e3), (0.0, 0.0))
    laps = [offset(fix, course, *corner) for corner in lap * int(luck.integers(3, 9))]
    final = offset(end.threshold, end.course_deg, -16e3)
    along = way([far, fix, *laps, final, end.threshold])
    hold_m = way([far, fix]).length_m
    held_m = along.length_m - way([fix, final, end.threshold]).length_m
    level = luck.uniform(2_400, 4_000)
    heights = [(0.0, 7_500.0), (hold_m - 20e3, level), (held_m, level), *_landing(along, home)]
    return along, heights, 250.0


def _diversion(luck: np.random.Generator, home: Field, places: list[Field]) -> Drawn:
    """Up to 30 to 60 km before its destination, and then to another field or back."""
    others = [one for one in places if 200e3 < float(distance_m(home.place, one.place)) < 1_500e3]
    there = others[int(luck.integers(len(others)))]
    near = offset(there.place, bearing_deg(there.place, home.place), luck.uniform(30e3, 60e3))
    elsewhere = [one for one in [home, *others] if one is not there]
    last = elsewhere[int(luck.integers(len(elsewhere)))]
    end = last.directions[1][0]
    final = offset(end.threshold, end.course_deg, -16e3)
    along = way([home.place, near, final, end.threshold])
    turn_m = way([home.place, near]).length_m
    down, level = luck.uniform(2_000, 3_500), luck.uniform(8_000, 11_000)
    on_m = along.length_m - turn_m
    heights = [
        *_takeoff(home), (0.4 * turn_m, level), (0.6 * turn_m, level), (turn_m, down),
        (turn_m + 0.3 * on_m, 0.7 * level), (turn_m + 0.6 * on_m, 0.7 * level),
        *_landing(along, last),
    ]  # fmt: skip
    return along, heights, 250.0


def _survey(luck: np.random.Generator, home: Field, _: list[Field]) -> Drawn:
    """Eight to sixteen parallel lines, 3 to 5 km apart."""
    course, length = luck.uniform(0, 360), luck.uniform(15e3, 40e3)
    start = offset(home.place, luck.uniform(0, 360), luck.uniform(15e3, 40e3))
    apart = luck.uniform(3e3, 5e3)
    lines = []
    for line in range(int(luck.integers(8, 17))):
        ends = [offset(start, course, ahead, line * apart) for ahead in (1.0, length)]
        lines += ends[:: -1 if line % 2 else 1]
    end = home.directions[0][0]
    along = way([home.place, *lines, offset(end.threshold, end.course_deg, -8e3), end.threshold])
    level = home.elevation_m + luck.uniform(1_000, 3_000)
    heights = [*_takeoff(home), (15e3, level), (along.length_m - 25e3, level),
               *_landing(along, home)]  # fmt: skip
    return along, heights, float(luck.uniform(65, 100))


def _low_loops(luck: np.random.Generator, home: Field, _: list[Field]) -> Drawn:
    """Six to twenty rounds, 1.5 to 4 km wide, 300 to 500 m above the ground."""
    middle = offset(home.place, luck.uniform(0, 360), luck.uniform(6e3, 20e3))
    radius, side = luck.uniform(1.5e3, 4e3), luck.choice([-1, 1])
    angles = np.arange(0, 360 * int(luck.integers(6, 21)), 10.0)
    rounds = [offset(middle, float(side * angle % 360), radius) for angle in angles]
    end = home.directions[0][0]
    along = way([home.place, *rounds, offset(end.threshold, end.course_deg, -6e3), end.threshold],
                is_rounded=False)  # fmt: skip
    level = home.elevation_m + luck.uniform(300, 500)
    heights = [*_takeoff(home), (5e3, level), (along.length_m - 8e3, level),
               *_landing(along, home)]  # fmt: skip
    return along, heights, float(luck.uniform(50, 70))


_DRAWN = {
    "holding": _holding,
    "diversion": _diversion,
    "survey": _survey,
    "low loops": _low_loops,
}


def _takeoff(home: Field) -> list[Corner]:
    return [(0.0, home.elevation_m), (2_000.0, home.elevation_m)]


def _landing(along: Way, there: Field) -> list[Corner]:
    """On a path of three degrees from 600 m up."""
    field_m = there.elevation_m
    return [(along.length_m - 11e3, field_m + 580), (along.length_m, field_m)]


def _flown(luck: np.random.Generator, icao24: str, start: datetime, drawn: Drawn) -> dict[str, Any]:
    """Along a way, slower where it is low, with noise; a minute of standing at the end."""
    along, heights, speed = drawn
    corner_m, level_m = np.array(heights).T
    every_m = np.arange(0, along.length_m, 100.0)
    low_m = np.interp(every_m, corner_m, level_m) - min(heights[0][1], heights[-1][1])
    steps_s = 100 / np.minimum(speed, np.interp(low_m, SPEED_AT_M, SPEED_MPS))
    lasts = int(steps_s.sum()) // STEP_S * STEP_S
    at = np.arange(0, lasts, STEP_S)
    at_m: Floats = np.interp(at, np.cumsum(steps_s), every_m)
    at_m = np.concatenate([at_m, np.full(ROLL_S // STEP_S, along.length_m)])
    latitude, longitude, track = along.place(at_m)
    altitude = np.interp(at_m, corner_m, level_m)
    field_m = np.where(at_m < along.length_m / 2, heights[0][1], heights[-1][1])
    on_ground = (altitude - field_m < 1) & (field_m < 1_000)
    size = len(at_m)
    noise = luck.normal(0, 5 / 111_195, (2, size))
    return {
        "icao24": [icao24] * size,
        "callsign": [f"ODD{icao24[-3:].upper()}"] * size,
        "time_position": int(start.timestamp()) + STEP_S * np.arange(size),
        "latitude_deg": latitude + noise[0],
        "longitude_deg": longitude + noise[1] / np.cos(np.radians(latitude)),
        "baro_altitude_m": altitude + luck.normal(0, 7.5, size),
        "is_on_ground": on_ground,
        "velocity_mps": np.gradient(at_m) / STEP_S + luck.normal(0, 0.5, size),
        "true_track_deg": track,
        "vertical_rate_mps": np.gradient(altitude) / STEP_S,
    }


def recording(columns: Iterable[dict[str, Any]]) -> Any:
    """These state vectors as one recording."""
    from skyops_assets.sources.opensky.reading.recording import Recording
    from skyops_assets.sources.opensky.schema import STATE_VECTOR

    schema = pa.schema([field.with_nullable(True) for field in STATE_VECTOR])
    parts = []
    for part in columns:
        rows = pa.table({**part, "time_position": pa.array(part["time_position"])})
        size = len(rows)
        parts.append(
            pa.table(
                [_column(rows, field, size) for field in schema],
                schema=schema,
            )
        )
    table = pa.concat_tables(parts)
    return Recording("simulated:odd-flights", table, table)


def _column(rows: pa.Table, field: pa.Field, size: int) -> Any:
    if field.name not in rows.column_names:
        return pa.nulls(size, field.type)
    column = rows[field.name]
    if pa.types.is_timestamp(field.type):
        return column.cast(pa.timestamp("s", tz="UTC")).cast(field.type)
    # As numpy has them: what is missing is no number.
    return pa.array(column.to_pandas(), field.type, from_pandas=True)


@dataclass(frozen=True)
class Placed:
    """A flight: the kind that was planted (None: an ordinary one), its score, and its rank."""

    icao24: str
    kind: str | None
    score: float
    place: int
    reasons: str


def placed(warehouse: Warehouse, made: Iterable[Planted] = ()) -> list[Placed]:
    """List the scored flights, the highest score first."""
    from skyops_assets.warehouse.query import fetch_all

    kinds = {one.icao24: one.kind for one in made}
    rows = fetch_all(
        warehouse,
        "select icao24, anomaly_score, reasons from metrics.flight_anomaly_scores"
        " where anomaly_score is not null order by anomaly_score desc, flight_id",
        {},
    )
    return [
        Placed(
            row["icao24"],
            kinds.get(row["icao24"]),
            row["anomaly_score"],
            place,
            "; ".join(one["words"] for one in row["reasons"] or []),
        )
        for place, row in enumerate(rows, 1)
    ]


def planted(flights: int, seed: int) -> None:
    """Print the ranks of the planted flights, and the other anomalous ones."""
    from skyops_assets.anomalous.look import score_flights
    from skyops_assets.sources.opensky.loading.states import load_states

    made, columns = plant(seed)
    rows = [*ordinary(flights - len(made), seed), *columns]
    with _built(lambda warehouse: load_states(warehouse, recording(rows))) as warehouse:
        print(score_flights(warehouse).sentence)
        for one in placed(warehouse, made):
            if one.kind or one.score >= 1:
                print(one.place, one.icao24, one.kind or "-", f"{one.score:.2f}", one.reasons)


def real(name: str, load: Callable[[Warehouse], object]) -> None:
    """Print the highest scores of real recordings, and save the picture."""
    from skyops_assets.anomalous.look import score_flights

    with _built(load) as warehouse:
        found = score_flights(warehouse)
    per_1000 = (
        "" if found.anomalous_per_1000 is None else f" {found.anomalous_per_1000:.0f} in 1,000."
    )
    print(f"{name}: {found.sentence}{per_1000}\n{found.highest or ''}")
    if found.picture:
        Path(f"odd-flights-{name}.png").write_bytes(found.picture)


@contextmanager
def _built(load: Callable[[Warehouse], object]) -> Iterator[Warehouse]:
    from benchmarks.storage import scratch
    from benchmarks.transform import dbt, load_reference

    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        load(warehouse)
        dbt(warehouse, Path(folder), "run", "--select", "+flight_shapes")
        yield warehouse


def main(arguments: Sequence[str]) -> None:
    from benchmarks.transform import load
    from skyops_assets.sources.opensky.loading.files import load_file
    from skyops_assets.sources.opensky.reading.recordings import (
        DEMO_END,
        DEMO_START,
        demo_recording,
        find_recordings,
        read_recording,
    )
    from validation.recordings import samples

    if not arguments or arguments[0].isdigit():
        planted(*map(int, arguments or ("1000", "1")))
        return
    if list(arguments) == ["demo"]:
        states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
        real("demo", lambda warehouse: load(warehouse, states))
        return
    paths = samples() if list(arguments) == ["samples"] else [Path(one) for one in arguments]
    real(
        "samples" if list(arguments) == ["samples"] else paths[0].stem,
        lambda warehouse: [load_file(warehouse, file) for file in find_recordings(paths)],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
