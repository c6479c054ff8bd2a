"""A recording of three days and three sources, bad in every usual way, and what is true of it."""

from __future__ import annotations

import csv
import gzip
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MIDNIGHT = int(datetime(2021, 10, 6, tzinfo=UTC).timestamp())
DAY_S = 86_400
AIRCRAFT = [f"3c64{number:02x}" for number in range(40)]

Key = tuple[str, str, int]


@dataclass
class Truth:
    """What a load has to store, told by a way of its own.

    Attributes:
        stored: the last contact of each (source, icao24, Unix time) that is nearest to it.
        rejected: how many bad rows there are, each another.
    """

    stored: dict[Key, float | None] = field(default_factory=dict)
    rejected: int = 0

    def take(self, source: str, icao24: str, at: int, contact: float | None) -> None:
        key = (source, icao24, at)
        known = self.stored.get(key)
        if key not in self.stored or (
            contact is not None
            and (known is None or (abs(contact - at), -contact) < (abs(known - at), -known))
        ):
            self.stored[key] = contact

    @property
    def partitions(self) -> set[str]:
        """The keys of the hours, as Dagster has them."""
        hours = {at // 3600 * 3600 for _, _, at in self.stored}
        return {f"{datetime.fromtimestamp(hour, UTC):%Y-%m-%d-%H:%M}" for hour in hours}


def write_all(folder: Path, seconds: int) -> Truth:
    """Write the files, in the order of whose names they are loaded.

    Args:
        seconds: of each history; 300 make 54,000 good rows.
    """
    folder.mkdir()
    dice, truth = random.Random(1), Truth()
    next_midnight = MIDNIGHT + DAY_S

    def times(start: int, length: int) -> range:
        return range(start, start + length)

    _history(folder / "a-history.parquet", truth, dice, times(MIDNIGHT - seconds // 2, seconds), 0)
    # Over the first one's time: the same rows, later ones, contradicting ones, and more.
    _history(folder / "b-history.csv", truth, dice, times(MIDNIGHT - seconds // 5, seconds), 1)
    length = seconds * 2 // 3
    _traffic(folder / "c-traffic.json.gz", truth, dice, times(next_midnight - length, length))
    for number in range(seconds // 40):
        _answer(folder / f"d-response-{number}.json", truth, dice, next_midnight + 7 * number)
    _traffic(folder / "e-traffic.csv", truth, dice, times(next_midnight - length // 2, length))
    last = times(next_midnight - seconds // 2, seconds)
    _history(folder / "f-history.parquet", truth, dice, last, 2)
    return truth


def _history(path: Path, truth: Truth, dice: random.Random, times: range, edition: int) -> None:
    rows: list[dict[str, Any]] = []
    for at in times:
        for icao24 in AIRCRAFT:
            contact = at - dice.choice((0.0, 0.25, 0.5)) + edition
            row = {
                "time": at, "icao24": icao24, "lat": 48.0 + dice.random(), "lon": 2.5,
                "velocity": 80.0 + edition, "squawk": "0021", "lastposupdate": float(at),
                "lastcontact": contact, "onground": False,
            }  # fmt: skip
            truth.take("opensky:history", icao24, at, contact)
            rows.append(row)
            if dice.random() < 0.05:
                newer = contact + dice.choice((0.0, 0.125))
                truth.take("opensky:history", icao24, at, newer)
                rows.append({**row, "lastcontact": newer, "velocity": 90.0})
        if dice.random() < 0.4:
            # Each differs from all others, so each is kept.
            rows.append({**row, "lat": 91.0 + len(rows) / 1e6})
            rows.append({**row, "lastcontact": at - 60.0 - len(rows) / 1e6})
            truth.rejected += 2
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        _write_csv(path, rows)


def _traffic(path: Path, truth: Truth, dice: random.Random, times: range) -> None:
    source = f"recording:{path.name.split('.')[0]}"
    rows: list[dict[str, Any]] = []
    for at in times:
        for icao24 in AIRCRAFT:
            row = {
                "icao24": icao24, "callsign": "AFR1", "timestamp": at * 1000, "latitude": 49.01,
                "longitude": 2.0 + dice.random(), "altitude": 4000, "groundspeed": 160,
                "track": 265, "vertical_rate": -700, "squawk": "0021", "onground": False,
            }  # fmt: skip
            truth.take(source, icao24, at, None)
            rows.append(row)
            if dice.random() < 0.05:
                rows.append({**row, "altitude": 4100})
        if dice.random() < 0.2:
            rows.append({**row, "altitude": 124_200 + len(rows)})
            truth.rejected += 1
    if path.suffix == ".csv":
        _write_csv(path, rows)
    else:
        path.write_bytes(gzip.compress(json.dumps(rows).encode(), 1))


def _answer(path: Path, truth: Truth, dice: random.Random, at: int) -> None:
    states: list[list[Any]] = []
    for number in range(1_500):
        icao24, position_at = f"39{number:04x}", at - dice.choice((0, 1, 5, 12))
        states.append(
            [icao24, "AFR1    ", "France", position_at, at, 2.5, 49.0, 100.0, False, 80.0, 87, 0.0,
             None, None, "0021", False, 0]
        )  # fmt: skip
        truth.take("opensky:rest", icao24, position_at, at)
    states.append([*states[0][:3], None, *states[0][4:]])
    states.append(["not six", *states[0][1:3], at, *states[0][4:]])
    truth.rejected += 2
    path.write_text(json.dumps({"time": at, "states": states}))


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
