"""A simulated recording and its truth, as parquet files that say what they are.

Belongs here: the folder that `skyops simulate` writes. Does not: what is in the rows (`truth`,
`reception`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.simulate.flights import PHASES, Flight, Plan
from skyops_assets.simulate.reception import FLOORS_M, Quality, Received, receive, receive_clean
from skyops_assets.simulate.truth import airframes
from skyops_assets.sources.opensky.reading.formats import SYNTHETIC_MARK
from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS

UTC_SECOND = pa.timestamp("s", tz="UTC")
PHASE_NAMES = pa.array(PHASES)


class Layout(StrEnum):
    """The columns of the recording.

    OpenSky's history knows when each position came: what it repeats is a duplicate to SkyOps, and
    rows over 15 s after the last message are rejected. A traffic-style table does not know it, so
    frozen positions and tails of five minutes go on into the warehouse, as in the demo's recording.
    """

    history = "history"
    traffic = "traffic"


@dataclass(frozen=True)
class Simulation:
    """A recording and what is true of it.

    Attributes:
        states: rows of the recording, by time and address.
        flights: one row a flight; what was received of it, and when; an airport is null where
            the flight begins or ends en route.
        movements: one row a landing, take-off, touch-and-go, go-around, hold or rejected take-off.
        seconds: one row a flight and second; phase, height above the field and position.
    """

    states: pa.Table
    flights: pa.Table
    movements: pa.Table
    seconds: pa.Table


@dataclass
class _Columns:
    """Arrays, collected flight by flight."""

    flights: list[dict[str, Any]] = field(default_factory=list)
    movements: list[dict[str, Any]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    flown: list[Flight] = field(default_factory=list)
    rows: int = 0

    def add(self, flight: Flight, got: Received) -> None:
        """One flight and what was received of it."""
        takeoff, landing = flight.first("takeoff"), flight.first("landing")
        is_flown = flight.kind not in ("taxi", "rejected_takeoff")
        fresh = got.at[got.at == got.position_at]
        self.flights.append(
            {
                "flight_key": flight.key,
                "icao24": flight.icao24,
                "is_address_shared": flight.is_address_shared,
                "callsign": flight.callsign,
                "aircraft_type": flight.aircraft_type,
                "kind": flight.kind,
                "departure_airport": flight.departure.icao
                if flight.departure and is_flown
                else None,
                "arrival_airport": flight.arrival.icao if flight.arrival and is_flown else None,
                "departure_runway": takeoff.runway if takeoff else None,
                "arrival_runway": landing.runway if landing else None,
                "first_at": int(flight.at[0]),
                "last_at": int(flight.at[-1]),
                "off_block_at": flight.off_block_at,
                "takeoff_at": takeoff.moved_at if takeoff else None,
                "landing_at": landing.moved_at if landing else None,
                "on_block_at": flight.on_block_at,
                "first_received_at": int(fresh[0]) if len(fresh) else None,
                "last_received_at": int(fresh[-1]) if len(fresh) else None,
                "received_rows": len(got.at),
            }
        )
        self.movements.extend(
            {
                "flight_key": flight.key,
                "icao24": flight.icao24,
                "movement": one.kind,
                "airport": one.airport,
                "runway": one.runway,
                "moved_at": one.moved_at,
                "ended_at": one.ended_at,
            }
            for one in flight.movements
        )
        self.received.append(got)
        self.flown.append(flight)
        self.rows += len(got.at)


def simulate(
    plan: Plan,
    *,
    flights: int | None = None,
    rows: int | None = None,
    quality: Quality | None = None,
    layout: Layout = Layout.history,
    on_rows: Callable[[int], None] | None = None,
) -> Simulation:
    """Fly, receive, and sort; equal arguments give equal tables.

    Takes about 400 bytes of memory for each row.

    Args:
        flights, rows: how many at least; the last airframe flies all its flights.
        quality: what is lost and spoilt; None records every second as it was.
        on_rows: called after each airframe with the rows so far.

    Raises:
        SkyOpsError: not one of flights and rows is given, or an airport is not known.
    """
    if (flights is None) == (rows is None) or (flights or rows or 0) < 1 or plan.days < 1:
        raise SkyOpsError(
            "Give the number of flights or of rows to simulate, and the number of days."
        )
    floors = dict(zip(plan.airports, np.resize(np.array(FLOORS_M, object), len(plan.airports)),
                      strict=True))  # fmt: skip
    found = _Columns()
    for chain in airframes(plan):
        for number, flight in enumerate(chain):
            until = int(chain[number + 1].at[0]) if number + 1 < len(chain) else None
            got = (
                receive_clean(flight)
                if quality is None
                else receive(flight, floors, quality, plan.seed, until)
            )
            found.add(flight, got)
        if on_rows:
            on_rows(found.rows)
        if found.rows >= (rows or 0) and len(found.flights) >= (flights or 0):
            break
    return Simulation(
        _states(found, layout),
        _table(found.flights, FLIGHTS),
        _table(found.movements, MOVEMENTS),
        _seconds(found),
    )


def write(folder: Path, simulation: Simulation, plan: Plan) -> list[Path]:
    """Write the recording, a file a UTC day in `recording`, and the truth in `truth`.

    Every name begins with `synthetic`, and the recording's files carry a mark by which their rows
    have a source of their own in the warehouse, under whatever name they are loaded.

    Raises:
        SkyOpsError: the folder holds something already.
    """
    import pyarrow.parquet as pq

    check_empty(folder)
    paths = []
    about = {**asdict(plan), "start": plan.start.isoformat()}
    metadata = {SYNTHETIC_MARK: f"seed-{plan.seed}".encode(), b"skyops.plan": json.dumps(about)}
    parts = [
        *((f"recording/synthetic-{day}.parquet", part) for day, part in _days(simulation.states)),
        ("truth/synthetic-flights.parquet", simulation.flights),
        ("truth/synthetic-movements.parquet", simulation.movements),
        ("truth/synthetic-seconds.parquet", simulation.seconds),
    ]
    for name, table in parts:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
        paths.append(path)
    return paths


def check_empty(folder: Path) -> None:
    """Nothing is overwritten, and no two simulations are mixed.

    Raises:
        SkyOpsError: the folder holds something already, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SkyOpsError(f"{folder} is not an empty folder; name another one to simulate into.")


def rows_of(path: Path) -> int:
    """The rows of a parquet file."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def counted(simulation: Simulation) -> dict[str, int]:
    """Movements by their kind."""
    return dict(sorted(Counter(simulation.movements["movement"].to_pylist()).items()))


FLIGHTS = pa.schema(
    [
        *((name, pa.string()) for name in ("flight_key", "icao24")),
        ("is_address_shared", pa.bool_()),
        *(
            (name, pa.string())
            for name in (
                "callsign", "aircraft_type", "kind", "departure_airport", "arrival_airport",
                "departure_runway", "arrival_runway",
            )
        ),
        *(
            (name, UTC_SECOND)
            for name in (
                "first_at", "last_at", "off_block_at", "takeoff_at", "landing_at", "on_block_at",
                "first_received_at", "last_received_at",
            )
        ),
        ("received_rows", pa.int64()),
    ]
)  # fmt: skip
MOVEMENTS = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("flight_key", "icao24", "movement", "airport", "runway")
        ),
        ("moved_at", UTC_SECOND),
        ("ended_at", UTC_SECOND),
    ]
)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.table(
        {one.name: pa.array([row[one.name] for row in rows], _stored(one.type)).cast(one.type)
         for one in schema}, schema=schema,
    )  # fmt: skip


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _repeated(values: list[str], lengths: list[int]) -> pa.Array:
    """Each text so many times, as a dictionary: a text a row would be most of the memory."""
    codes = np.repeat(np.arange(len(values), dtype=np.int32), lengths)
    return pa.DictionaryArray.from_arrays(codes, pa.array(values, pa.string()))


def _seconds(found: _Columns) -> pa.Table:
    flown = found.flown
    lengths = [len(flight.at) for flight in flown]

    def joined(name: str) -> Any:
        return np.concatenate([getattr(flight, name) for flight in flown])

    return pa.table(
        {
            "flight_key": _repeated([flight.key for flight in flown], lengths),
            "icao24": _repeated([flight.icao24 for flight in flown], lengths),
            "at": pa.array(joined("at")).cast(UTC_SECOND),
            "phase": pa.DictionaryArray.from_arrays(joined("phase"), PHASE_NAMES),
            "height_m": joined("height_m"),
            "altitude_m": joined("altitude_m"),
            "latitude_deg": joined("latitude_deg"),
            "longitude_deg": joined("longitude_deg"),
        }
    )


def _states(found: _Columns, layout: Layout) -> pa.Table:
    """The rows in the layout's columns and units, by time and address."""
    lengths = [len(got.at) for got in found.received]
    icao24 = _repeated([flight.icao24 for flight in found.flown], lengths)
    columns = {
        one.name: np.concatenate([getattr(got, one.name) for got in found.received])
        for one in fields(Received)
    }
    found.received.clear()
    ranked = np.unique([flight.icao24 for flight in found.flown], return_inverse=True)[1]
    order = np.lexsort((np.repeat(ranked, lengths), columns["at"]))
    columns = {name: values[order] for name, values in columns.items()}

    def number(name: str, unit: float = 1.0) -> pa.Array:
        return pa.array(columns[name] / unit, from_pandas=True)

    def text(name: str) -> pa.Array:
        # As numbers eight bytes sort ten times as fast.
        found, codes = np.unique(columns[name].view(np.int64), return_inverse=True)
        texts = [value.decode() or None for value in found.view("S8").tolist()]
        return pa.array(texts, pa.string()).take(pa.array(codes))

    icao24 = icao24.take(pa.array(order)).cast(pa.string())
    flags = {"onground": columns["is_on_ground"], "spi": np.zeros(len(order), bool)}
    if layout is Layout.traffic:
        return pa.table(
            {
                "timestamp": pa.array(columns["at"]).cast(UTC_SECOND).cast(
                    pa.timestamp("ms", tz="UTC")),
                "icao24": icao24,
                "callsign": text("callsign"),
                "latitude": columns["latitude_deg"],
                "longitude": columns["longitude_deg"],
                "altitude": number("baro_altitude_m", FOOT_M),
                "geoaltitude": number("geo_altitude_m", FOOT_M),
                "groundspeed": number("velocity_mps", KNOT_MPS),
                "track": number("track_deg"),
                "vertical_rate": number("vertical_rate_mps", FOOT_PER_MINUTE_MPS),
                "squawk": text("squawk"),
                **flags,
            }
        )  # fmt: skip
    return pa.table(
        {
            "time": columns["at"],
            "icao24": icao24,
            "lat": columns["latitude_deg"],
            "lon": columns["longitude_deg"],
            "velocity": number("velocity_mps"),
            "heading": number("track_deg"),
            "vertrate": number("vertical_rate_mps"),
            "callsign": text("callsign"),
            **flags,
            "alert": np.zeros(len(order), bool),
            "squawk": text("squawk"),
            "baroaltitude": number("baro_altitude_m"),
            "geoaltitude": number("geo_altitude_m"),
            "lastposupdate": columns["position_at"].astype(float),
            "lastcontact": columns["contact_at"].astype(float),
            "hour": columns["at"] // 3_600 * 3_600,
        }
    )


def _days(states: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each UTC day; they are sorted by time."""
    first = states.column(0)
    seconds = pc.divide(first.cast(pa.int64()), 1_000 if pa.types.is_timestamp(first.type) else 1)
    at = seconds.to_numpy()
    day = datetime.fromtimestamp(int(at[0]), UTC).replace(hour=0, minute=0, second=0)
    start = 0
    while start < len(at):
        day += timedelta(days=1)
        end = int(np.searchsorted(at, day.timestamp()))
        if end > start:
            yield f"{day - timedelta(days=1):%Y-%m-%d}", states.slice(start, end - start)
        start = end
