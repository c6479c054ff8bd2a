"""How many anomalies are found, by their strength, and how many are told that are none.

`skyops exec -- python -m validation.anomalies [SEED]` makes flights with an anomaly of a random
strength each, and some with what only looks like one, loads them, runs dbt in a database of its own
and prints shares. A strength is the multiple of the threshold that the value (or the time) reaches
for a while; sensor noise, missing values and repeated positions lie over it.

`python -m validation.recordings` counts the anomalies of real recordings.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
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
DECOYS = ("dial_through", "squawk_on_ground", "one_high_speed", "frozen_tail", "nothing")


@dataclass(frozen=True)
class Injected:
    """A flight and what is wrong with it.

    Attributes:
        kind: of `KINDS` or `DECOYS`.
        strength: as a multiple of the threshold; 0 of a decoy.
        from_at, through_at: when it is.
    """

    icao24: str
    kind: str
    strength: float
    from_at: datetime
    through_at: datetime
    is_believable: bool


def inject(
    seed: int, each: int, decoys: int, strengths: tuple[float, float] = (0.8, 2.0)
) -> tuple[list[Injected], list[dict[str, Any]]]:
    """So many flights with an anomaly of each kind, and with each decoy; and their state vectors."""
    luck = np.random.default_rng(seed)
    wanted = [(kind, float(luck.uniform(*strengths))) for kind in KINDS for _ in range(each)]
    wanted += [(kind, 0.0) for kind in DECOYS for _ in range(decoys)]
    made, rows = [], []
    for number, (kind, strength) in enumerate(wanted):
        one, its = _flight(luck, f"e8{number:04x}", kind, strength)
        made.append(one)
        rows += its
    return made, rows


def _flight(
    luck: np.random.Generator, icao24: str, kind: str, strength: float
) -> tuple[Injected, list[dict[str, Any]]]:
    """Ten minutes of a cruise, straight on, with one anomaly in the midst of it."""
    is_timed = kind in ("squawk", "frozen_feed", *DECOYS)
    step = int(luck.choice([1, 2, 5] if is_timed else [1, 2, 5, 10]))
    at = np.arange(0, 600, step)
    begin = float(luck.uniform(150, 300))
    lasts = float(luck.uniform(30, 90))
    speed = luck.uniform(180, 260) + np.zeros(len(at))
    rate = np.zeros(len(at))
    altitude = luck.uniform(9000, 12000) + np.zeros(len(at))
    squawk = np.full(len(at), f"{luck.integers(1, 7)}{luck.integers(100, 477):03d}")
    on_ground = np.zeros(len(at), bool)
    is_believable = True

    if kind == "squawk":
        lasts = strength * SQUAWK_S
    elif kind == "frozen_feed":
        lasts = strength * FROZEN_S
    elif kind == "dial_through":
        lasts = float(luck.uniform(2, 25))
    during = (at >= begin) & (at < begin + lasts)
    sent_speed, sent_altitude = speed, altitude
    if kind == "overspeed":
        peak = min(strength * SPEED_MPS, READ_MPS)
        is_believable = peak < BELIEVED_MPS - 10
        # Nothing flies faster than is believed: then the value alone is wrong.
        sent_speed = np.where(during, peak, speed)
        speed = sent_speed if is_believable else speed
    elif kind == "one_high_speed":
        during = np.arange(len(at)) == np.searchsorted(at, begin)
        sent_speed = np.where(during, 1.1 * SPEED_MPS, speed)
    elif kind == "rapid_descent":
        is_believable = strength * DESCENT_MPS < 48
        rate = np.where(during, -strength * DESCENT_MPS, 0)
        altitude = altitude + np.cumsum(rate) * step
        sent_altitude = altitude
    elif kind == "above_fl600":
        peak = min(strength * CEILING_M, READ_M)
        is_believable = peak < BELIEVED_M - 100
        if is_believable:
            altitude = sent_altitude = np.full(len(at), peak)
        else:
            sent_altitude = np.where(during, peak, altitude)
    elif kind in ("squawk", "dial_through", "squawk_on_ground"):
        squawk = np.where(during, luck.choice(["7500", "7600", "7700"]), squawk)
        if kind == "squawk_on_ground":
            during = at >= 0
            on_ground, speed, altitude = during, 0 * speed, 0 * altitude
            sent_speed, sent_altitude = speed, altitude

    course = luck.uniform(0, 2 * np.pi)
    flown = np.cumsum(speed) * step
    latitude = luck.uniform(30, 60) + flown * np.cos(course) / METRES_PER_DEG
    longitude = luck.uniform(-20, 40) + flown * np.sin(course) / METRES_PER_DEG / np.cos(
        np.radians(latitude)
    )
    noise = 0 if kind == "squawk_on_ground" else 10 / METRES_PER_DEG
    latitude = latitude + luck.normal(0, noise, len(at))
    # Receivers repeat positions.
    repeats = (luck.random(len(at)) < 0.1) & (np.arange(len(at)) > 0) & ~on_ground
    if kind == "frozen_feed":
        repeats = np.where(during, True, repeats & ~during)
        repeats[np.searchsorted(at, begin) - 1] = False
    elif kind == "frozen_tail":
        repeats = repeats | (at > 450)
    elif kind == "implausible_jump":
        length = int(luck.integers(1, 4))
        first = int(np.searchsorted(at, begin))
        during = np.zeros(len(at), bool)
        during[first : first + length] = True
        repeats[first - 3 : first + length + 3] = False
        away = luck.uniform(0, 2 * np.pi)
        reach = strength * (1000 + BELIEVED_MPS * step)
        for n in range(first, first + length):
            on = (flown[n] - flown[first]) * np.cos(course) / METRES_PER_DEG
            latitude[n] = latitude[first - 1] + reach * np.cos(away) / METRES_PER_DEG + on
            longitude[n] = longitude[first - 1] + reach * np.sin(away) / METRES_PER_DEG / np.cos(
                np.radians(latitude[first - 1])
            )
    for n in np.flatnonzero(repeats):
        latitude[n], longitude[n] = latitude[n - 1], longitude[n - 1]

    start = START + timedelta(seconds=int(luck.integers(0, 5400)))
    is_lost = luck.random((4, len(at))) < 0.05
    rows = [
        {
            "icao24": icao24,
            "callsign": f"INJ{icao24[2:]}",
            "time_position": start + timedelta(seconds=int(at[n])),
            "latitude_deg": float(latitude[n]),
            "longitude_deg": float(longitude[n]),
            "is_on_ground": bool(on_ground[n]),
            "true_track_deg": float(np.degrees(course) % 360),
            "velocity_mps": None
            if is_lost[0, n]
            else float(max(0, sent_speed[n] + (0 if on_ground[n] else luck.normal(0, 1.5)))),
            "vertical_rate_mps": None
            if is_lost[1, n]
            else round(float(rate[n] + luck.normal(0, 0.5)) / 0.32512) * 0.32512,
            # In steps of 25 ft.
            "baro_altitude_m": None
            if is_lost[2, n]
            else round(float(sent_altitude[n]) / 7.62) * 7.62,
            "squawk": None if is_lost[3, n] else str(squawk[n]),
        }
        for n in range(len(at))
    ]
    if kind == "above_fl600" and is_believable:
        during = at >= 0
    inside = at[during] if during.any() else np.array([begin])
    one = Injected(
        icao24,
        kind,
        strength,
        start + timedelta(seconds=int(inside[0])),
        start + timedelta(seconds=int(inside[-1])),
        is_believable,
    )
    return one, rows


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


def is_of(event: Told, one: Injected) -> bool:
    """Whether an event is the injected anomaly; half a minute is for the rows that are missing."""
    icao24, anomaly, _, started_at, ended_at = event
    return (
        icao24 == one.icao24
        and anomaly.split("_")[0] == one.kind.split("_")[0]
        and one.kind in KINDS
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


def main(seed: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.storage import scratch
    from benchmarks.transform import dbt, load_reference
    from skyops_assets.sources.opensky.loading.states import load_states

    made, rows = inject(seed, each=150, decoys=60)
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        load_states(warehouse, recording(rows))
        dbt(warehouse, Path(folder), "run", "--select", "+fct_anomalies")
        events = told(warehouse)
    wrong = untrue(made, events)
    bins = ((0.8, 0.9), (0.9, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.5), (1.5, 2.0))
    table = Table("anomaly", *(f"{low} to {high}" for low, high in bins), "told", "of them untrue")
    for kind in KINDS:
        shares = [found(made, events, kind, *limits) for limits in bins]
        its = [event for event in events if event[1].split("_")[0] == kind.split("_")[0]]
        table.add_row(
            kind,
            *(f"{part} of {whole}" for part, whole in shares),
            str(len(its)),
            str(sum(event in wrong for event in its)),
        )
    Console(width=140, highlight=False).print(table)
    for event in wrong:
        injected = next(one for one in made if one.icao24 == event[0])
        print(*event, injected.kind, round(injected.strength, 2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
