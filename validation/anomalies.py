"""How many anomalies are found, by their strength, and how many are told that are none.

`skyops exec -- python -m validation.anomalies [SEED]` makes flights with an anomaly of a random
strength each, and some with what only looks like one, loads them, runs dbt in a database of its own
and prints shares. A strength is the multiple of the threshold that the value (or the time) reaches
for a while; sensor noise, missing values and repeated positions lie over it.

`... validation.anomalies PATH ...` prints every anomaly of real recordings, each path in a
database of its own, and how many there are per 1,000 flights; with `samples` for PATH, those in
the demo's package.
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
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

START = datetime(2021, 10, 7, 12, 0, tzinfo=UTC)
SPEED_MPS, DESCENT_MPS, CEILING_M = 700 * 1852 / 3600, 6000 * 0.3048 / 60, 60000 * 0.3048
SQUAWK_S, FROZEN_S = 30, 60
BELIEVED_MPS, BELIEVED_M = 515, 24384
READ_MPS, READ_M = 690, 30400
"""What staging believes; and the most that is sent here, for above it a row is rejected whole."""
METRES_PER_DEG = 111_195
KINDS = ("squawk", "overspeed", "rapid_descent", "above_fl600", "implausible_jump", "frozen_feed")
CLASSES = ("flight", "data", "signal")
TIMED = ("squawk", "frozen_feed", "dial_through", "squawk_on_ground", "frozen_tail")
STEPS_S = {False: (1, 2, 5, 10), True: (1, 2, 5)}
"""Seconds between positions; where the time decides, not so many that it could not be told."""
RATE_STEP_MPS, ALTITUDE_STEP_M = 64 * 0.3048 / 60, 25 * 0.3048
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Injected:
    """A flight and what is wrong with it.

    Attributes:
        kind: of `KINDS` or `DECOYS`.
        strength: as a multiple of the threshold; 0 of a decoy.
        from_at, through_at: when it is.
        is_believable: whether an aircraft could do it.
    """

    icao24: str
    kind: str
    strength: float
    from_at: datetime
    through_at: datetime
    is_believable: bool


@dataclass
class Track:
    """Ten minutes of a cruise, straight on: a value for each of its moments.

    Attributes:
        at: seconds since the first.
        during: whether something is wrong then.
        sent_speed, sent_altitude: as sent, where that is not what is flown.
        shift_m: how far from where the aircraft was before `during`; None where it is as flown.
    """

    luck: np.random.Generator
    step: int
    at: Values
    during: Values
    speed: Values
    sent_speed: Values
    altitude: Values
    sent_altitude: Values
    rate: Values
    squawk: Values
    repeats: Values
    on_ground: Values
    shift_m: float | None = None
    is_believable: bool = True

    def is_for(self, seconds: float) -> None:
        """Let it last for so long from where it begins."""
        begin = self.at[self.during][0]
        self.during = (self.at >= begin) & (self.at < begin + seconds)


def _squawk(track: Track, strength: float) -> None:
    track.is_for(strength * SQUAWK_S)
    _emergency(track)


def _emergency(track: Track) -> None:
    code = track.luck.choice(["7500", "7600", "7700"])
    track.squawk = np.where(track.during, code, track.squawk)


def _dial_through(track: Track, _: float) -> None:
    track.is_for(track.luck.uniform(2, 25))
    _emergency(track)


def _squawk_on_ground(track: Track, _: float) -> None:
    _emergency(track)
    track.on_ground = track.on_ground | True
    track.speed = track.sent_speed = track.altitude = track.sent_altitude = 0 * track.speed
    track.repeats = track.repeats & False


def _overspeed(track: Track, strength: float) -> None:
    peak = min(strength * SPEED_MPS, READ_MPS)
    track.sent_speed = np.where(track.during, peak, track.speed)
    # Nothing flies faster than is believed: then the value alone is wrong.
    track.is_believable = peak < BELIEVED_MPS - 10
    if track.is_believable:
        track.speed = track.sent_speed


def _one_high_speed(track: Track, _: float) -> None:
    track.is_for(track.step)
    track.sent_speed = np.where(track.during, 1.1 * SPEED_MPS, track.speed)


def _rapid_descent(track: Track, strength: float) -> None:
    track.is_believable = strength * DESCENT_MPS < 48
    track.rate = np.where(track.during, -strength * DESCENT_MPS, 0)
    if track.is_believable:
        track.sent_altitude = track.altitude + np.cumsum(track.rate) * track.step


def _above_fl600(track: Track, strength: float) -> None:
    peak = min(strength * CEILING_M, READ_M)
    track.is_believable = peak < BELIEVED_M - 100
    if track.is_believable:
        track.during = track.at >= 0
    track.sent_altitude = np.where(track.during, peak, track.altitude)


def _implausible_jump(track: Track, strength: float) -> None:
    track.is_for(track.step * track.luck.integers(1, 4))
    first, last = np.flatnonzero(track.during)[[0, -1]]
    track.repeats[first - 3 : last + 4] = False
    track.shift_m = strength * (1000 + BELIEVED_MPS * track.step)


def _frozen_feed(track: Track, strength: float) -> None:
    track.is_for(strength * FROZEN_S)
    track.repeats[np.flatnonzero(track.during)[0] - 1] = False
    track.repeats = track.repeats | track.during


def _frozen_tail(track: Track, _: float) -> None:
    track.repeats = track.repeats | (track.at > 450)


def _nothing(_: Track, __: float) -> None:
    """A decoy that does not even look like an anomaly."""


SPOILED: dict[str, Callable[[Track, float], None]] = {
    "squawk": _squawk,
    "overspeed": _overspeed,
    "rapid_descent": _rapid_descent,
    "above_fl600": _above_fl600,
    "implausible_jump": _implausible_jump,
    "frozen_feed": _frozen_feed,
    "dial_through": _dial_through,
    "squawk_on_ground": _squawk_on_ground,
    "one_high_speed": _one_high_speed,
    "frozen_tail": _frozen_tail,
    "nothing": _nothing,
}
DECOYS = tuple(kind for kind in SPOILED if kind not in KINDS)
"""What only looks like an anomaly."""


def inject(
    seed: int, each: int, decoys: int, strengths: tuple[float, float] = (0.8, 2.0)
) -> tuple[list[Injected], list[dict[str, Any]]]:
    """So many flights with an anomaly of each kind, and with each decoy; and their positions."""
    luck = np.random.default_rng(seed)
    wanted = [(kind, float(luck.uniform(*strengths))) for kind in KINDS for _ in range(each)]
    wanted += [(kind, 0.0) for kind in DECOYS for _ in range(decoys)]
    made, rows = [], []
    for number, (kind, strength) in enumerate(wanted):
        track = _cruise(luck, int(luck.choice(STEPS_S[kind in TIMED])))
        SPOILED[kind](track, strength)
        start = START + timedelta(seconds=int(luck.integers(0, 5400)))
        first, last = track.at[track.during][[0, -1]]
        made.append(
            Injected(
                f"e8{number:04x}",
                kind,
                strength,
                start + timedelta(seconds=int(first)),
                start + timedelta(seconds=int(last)),
                track.is_believable,
            )
        )
        rows += _sent(track, made[-1].icao24, start)
    return made, rows


def _cruise(luck: np.random.Generator, step: int) -> Track:
    at = np.arange(0, 600, step)
    none = np.zeros(len(at), bool)
    begin, lasts = luck.uniform(150, 300), luck.uniform(30, 90)
    speed = np.full(len(at), luck.uniform(180, 260))
    altitude = np.full(len(at), luck.uniform(9000, 12000))
    # Receivers repeat positions.
    repeats = (luck.random(len(at)) < 0.1) & (at > 0)
    return Track(
        luck, step, at, (at >= begin) & (at < begin + lasts), speed, speed, altitude, altitude,
        np.zeros(len(at)), np.full(len(at), "1000"), repeats, none,
    )  # fmt: skip


def _way(track: Track) -> tuple[Values, Values]:
    """Latitudes and longitudes as sent."""
    luck = track.luck
    course, away = luck.uniform(0, 2 * np.pi, 2)
    flown = np.cumsum(track.speed) * track.step / METRES_PER_DEG
    noise = luck.normal(0, 10 / METRES_PER_DEG, len(track.at)) * ~track.on_ground
    north, east = flown * np.cos(course) + noise, flown * np.sin(course)
    if track.shift_m is not None:
        first = np.flatnonzero(track.during)[0]
        shift = track.shift_m / METRES_PER_DEG
        north = north + track.during * (north[first - 1] + shift * np.cos(away) - north[first])
        east = east + track.during * (east[first - 1] + shift * np.sin(away) - east[first])
    latitude = luck.uniform(30, 60)
    # Far from a pole a constant scale is as good.
    north, east = latitude + north, luck.uniform(-20, 40) + east / np.cos(np.radians(latitude))
    for n in np.flatnonzero(track.repeats):
        north[n], east[n] = north[n - 1], east[n - 1]
    return north, east


def _sent(track: Track, icao24: str, start: datetime) -> list[dict[str, Any]]:
    """The positions as received: with noise, in steps, and each value missing now and then."""
    luck = track.luck
    latitude, longitude = _way(track)
    number = len(track.at)
    speed = np.where(track.on_ground, 0, track.sent_speed + luck.normal(0, 1.5, number))
    columns = {
        "velocity_mps": speed,
        "vertical_rate_mps": np.round((track.rate + luck.normal(0, 0.5, number)) / RATE_STEP_MPS)
        * RATE_STEP_MPS,
        "baro_altitude_m": np.round(track.sent_altitude / ALTITUDE_STEP_M) * ALTITUDE_STEP_M,
        "squawk": track.squawk,
    }
    sent = {
        name: [None if lost else value.item() for value, lost in zip(values, missing, strict=True)]
        for name, values in columns.items()
        for missing in [luck.random(number) < 0.05]
    }
    return [
        {
            "icao24": icao24,
            "callsign": f"INJ{icao24[2:].upper()}",
            "time_position": start + timedelta(seconds=int(track.at[n])),
            "latitude_deg": float(latitude[n]),
            "longitude_deg": float(longitude[n]),
            "is_on_ground": bool(track.on_ground[n]),
            **{name: values[n] for name, values in sent.items()},
        }
        for n in range(number)
    ]


def recording(rows: Sequence[dict[str, Any]]) -> Any:
    """These state vectors as one recording."""
    from skyops_assets.sources.opensky.reading.recording import Recording
    from skyops_assets.sources.opensky.schema import STATE_VECTOR

    schema = pa.schema([field.with_nullable(True) for field in STATE_VECTOR])
    table = pa.Table.from_pylist(list(rows), schema=schema)
    return Recording("injected", table, table)


Told = tuple[str, str, str, datetime, datetime]
"""Address, anomaly, class, start and end of an event."""


def told(warehouse: Warehouse) -> list[Told]:
    """The events of the injected flights."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select left(icao24, 6), anomaly, anomaly_class, started_at, ended_at "
            "from metrics.fct_anomalies where source = 'injected' order by 1, 4"
        )
        return [tuple(row) for row in cursor]


def kind_of(anomaly: str) -> str:
    """The one of `KINDS`: the three codes are one."""
    return next(kind for kind in KINDS if anomaly.startswith(kind))


def is_of(event: Told, one: Injected) -> bool:
    """Whether an event is the injected anomaly; half a minute is for the rows that are missing."""
    icao24, anomaly, _, started_at, ended_at = event
    return (
        icao24 == one.icao24
        and kind_of(anomaly) == one.kind
        and started_at <= one.through_at + timedelta(seconds=30)
        and ended_at >= one.from_at - timedelta(seconds=30)
    )


def found(
    made: Iterable[Injected], events: Sequence[Told], kind: str, low: float, high: float
) -> tuple[int, int]:
    """Of the injected anomalies of a kind and such a strength those that are told; and all."""
    chosen = [one for one in made if one.kind == kind and low <= one.strength < high]
    return sum(any(is_of(event, one) for event in events) for one in chosen), len(chosen)


def untrue(made: Sequence[Injected], events: Iterable[Told]) -> list[Told]:
    """The events that nobody injected."""
    return [event for event in events if not any(is_of(event, one) for one in made)]


def injected(seed: int) -> None:
    """Print the shares that are found, and what is told that nobody injected."""
    from rich.console import Console
    from rich.table import Table

    from skyops_assets.sources.opensky.loading.states import load_states

    made, rows = inject(seed, each=150, decoys=60)
    with _built(lambda warehouse: load_states(warehouse, recording(rows))) as warehouse:
        events = told(warehouse)
    wrong = untrue(made, events)
    bins = ((0.8, 0.9), (0.9, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.5), (1.5, 2.0))
    table = Table("anomaly", *(f"{low} to {high}" for low, high in bins), "told", "of them untrue")
    for kind in KINDS:
        shares = [found(made, events, kind, *limits) for limits in bins]
        its = [event for event in events if kind_of(event[1]) == kind]
        table.add_row(
            kind,
            *(f"{part} of {whole}" for part, whole in shares),
            str(len(its)),
            str(sum(event in wrong for event in its)),
        )
    Console(width=140, highlight=False).print(table)
    for event in wrong:
        one = next(one for one in made if one.icao24 == event[0])
        print(*event, one.kind, round(one.strength, 2))


def real(paths: Iterable[Path]) -> None:
    """Print the anomalies of recordings, and a line of docs/validation.md's table for each."""
    from skyops_assets.sources.opensky.loading.files import load_file
    from skyops_assets.sources.opensky.reading.recordings import find_recordings

    lines = []
    for path in paths:

        def load(warehouse: Warehouse, path: Path = path) -> None:
            for file in find_recordings([path]):
                load_file(warehouse, file)

        with _built(load) as warehouse, warehouse.connect() as connection:
            cursor = connection.cursor()
            cursor.execute("select count(*) from intermediate.int_flights__segmented")
            ((flights,),) = cursor.fetchall()
            cursor.execute(
                "select anomaly_class, anomaly, icao24, callsign, started_at, sample_count, "
                "strongest_value, unit, altitude_m from metrics.fct_anomalies order by 1, 2, 3, 5"
            )
            events = cursor.fetchall()
        for event in events:
            print(path.stem, *event, flush=True)
        counts = [sum(event[0] == name for event in events) for name in CLASSES]
        shares = [f"{count} ({1000 * count / max(flights, 1):.0f})" for count in counts]
        lines.append(f"| {path.stem} | {flights:,} | {' | '.join(shares)} |")
    print("\n".join(lines))


@contextmanager
def _built(load: Callable[[Warehouse], object]) -> Iterator[Warehouse]:
    from benchmarks.storage import scratch
    from benchmarks.transform import dbt, load_reference

    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        load(warehouse)
        dbt(warehouse, Path(folder), "run", "--select", "+fct_anomalies")
        yield warehouse


def main(arguments: Sequence[str]) -> None:
    from validation.recordings import samples

    if not arguments or arguments[0].isdigit():
        injected(int(arguments[0]) if arguments else 1)
    else:
        real(samples() if list(arguments) == ["samples"] else map(Path, arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
