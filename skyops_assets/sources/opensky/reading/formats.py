"""The tables that hold recorded positions: how each is known, and its columns and units.

Belongs here: column names and units of OpenSky's history exports and of `traffic`-style tables.
Does not: files (`recordings`), how a value is written (`columns`), its limits (`schema`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError, first_few
from skyops_assets.sources.opensky.reading.columns import Reader, Values
from skyops_assets.sources.text import shown
from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS

HISTORY_SOURCE = "opensky:history"


SYNTHETIC_MARK = b"skyops.synthetic"
"""Key in a parquet file's metadata: its rows are no observations, and their source says so."""


FRESH_S = 15
"""OpenSky's history repeats a vector for up to 300 s after the aircraft's last message; it is
usable while time - lastcontact is at most this (https://openskynetwork.github.io/opensky-api)."""


CLOCK_TOLERANCE = timedelta(seconds=5)


PRESENT = "the present"


FUTURE_TOLERANCE = timedelta(days=1)
"""Against the reader's own clock, which may be wrong."""


States = tuple[pa.Table, pa.ChunkedArray | None]


class NoRecording(SkyOpsError):
    """A file that is no recording at all, such as a README: in a folder it only stands beside."""


@dataclass(frozen=True)
class Format:
    """A kind of table, known by its columns.

    Attributes:
        name: as a person reads it.
        needed: the columns without which it is not this kind.
        read: makes state vectors, and the reasons of rows that cannot be read, of so many rows
            of these columns.
        source: the source of all its rows; None where it is the file.
    """

    name: str
    needed: tuple[str, ...]
    read: Callable[[Mapping[str, Values], int], States]
    source: str | None

    def source_of(self, path: Path) -> str:
        """The source of the rows of a file."""
        return self.source or f"recording:{shown(Path(path.name)).split('.')[0]}"


def _history(columns: Mapping[str, Values], rows: int) -> States:
    """OpenSky's history: Trino's column names, SI units, one vector a second of each aircraft."""
    get = columns.get
    read = Reader(rows, degrees=(get("lat"), get("lon")))
    address = pc.utf8_lower(read.text("icao24", get("icao24")))
    future = datetime.now(UTC) + FUTURE_TOLERANCE
    at = read.no_later("time", read.time("time", get("time"), is_seconds=False), future, PRESENT)
    # Epoch seconds with fractions; compared with `time`, which has none.
    latest = pc.add(at, pa.scalar(CLOCK_TOLERANCE))
    updated = read.time("lastposupdate", get("lastposupdate"), is_seconds=False)
    updated = read.no_later("lastposupdate", updated, latest, "its time")
    contact = read.time("lastcontact", get("lastcontact"), is_seconds=False)
    contact = read.no_later("lastcontact", contact, latest, "its time")
    stale = pc.greater(pc.subtract(at, contact), pa.scalar(timedelta(seconds=FRESH_S)))
    read.reject(pc.fill_null(stale, False), f"stale: last contact over {FRESH_S} s before its time")
    states = read.states(
        {
            "icao24": address,
            "time_position": at if get("lastposupdate") is None else pc.coalesce(updated, at),
            "last_contact": contact,
            "longitude_deg": read.number("lon", get("lon")),
            "latitude_deg": read.number("lat", get("lat")),
            "baro_altitude_m": read.number("baroaltitude", get("baroaltitude")),
            "geo_altitude_m": read.number("geoaltitude", get("geoaltitude")),
            "velocity_mps": read.number("velocity", get("velocity")),
            "true_track_deg": read.number("heading", get("heading")),
            "vertical_rate_mps": read.number("vertrate", get("vertrate")),
            "callsign": read.text("callsign", get("callsign")),
            "squawk": read.squawk("squawk", get("squawk")),
            "is_on_ground": read.flag("onground", get("onground")),
            "is_spi": read.flag("spi", get("spi")),
        }
    )
    return states, read.problems


def _traffic(columns: Mapping[str, Values], rows: int) -> States:
    """`traffic`'s columns: feet, knots, ft/min; tracks also from -180, as some writers have it."""
    get = columns.get
    read = Reader(rows, degrees=(get("latitude"), get("longitude")))
    address = pc.utf8_lower(read.text("icao24", get("icao24")))
    at = read.time("timestamp", get("timestamp"), is_seconds=False)
    at = read.no_later("timestamp", at, datetime.now(UTC) + FUTURE_TOLERANCE, PRESENT)
    track = read.number("track", get("track"))
    is_west = pc.and_(pc.less(track, 0), pc.greater_equal(track, -180))
    states = read.states(
        {
            "icao24": address,
            "time_position": at,
            "longitude_deg": read.number("longitude", get("longitude")),
            "latitude_deg": read.number("latitude", get("latitude")),
            "baro_altitude_m": read.number("altitude", get("altitude"), FOOT_M),
            "geo_altitude_m": read.number("geoaltitude", get("geoaltitude"), FOOT_M),
            "velocity_mps": read.number("groundspeed", get("groundspeed"), KNOT_MPS),
            "true_track_deg": pc.if_else(is_west, pc.add(track, 360.0), track),
            "vertical_rate_mps": read.number(
                "vertical_rate", get("vertical_rate"), FOOT_PER_MINUTE_MPS
            ),
            "callsign": read.text("callsign", get("callsign")),
            "squawk": read.squawk("squawk", get("squawk")),
            "is_on_ground": read.flag("onground", get("onground")),
            "is_spi": read.flag("spi", get("spi")),
        }
    )
    return states, read.problems


HISTORY = Format("OpenSky history", ("time", "icao24", "lat", "lon"), _history, HISTORY_SOURCE)


TRAFFIC = Format(
    "traffic-style table", ("timestamp", "icao24", "latitude", "longitude"), _traffic, None
)


REST = "OpenSky REST response"


ACCEPTED = (
    f"SkyOps reads {REST}s (JSON with time and states), {HISTORY.name} exports (parquet or CSV "
    f"with {', '.join(HISTORY.needed)}) and {TRAFFIC.name}s (parquet, CSV or JSON records with "
    f"{', '.join(TRAFFIC.needed)}); JSON and CSV may be gzipped"
)


_NEAR = 1
"""Columns that a recording may lack and still be taken for one whose header is damaged. A database
of aircraft, which has icao24 too, lacks three."""


def recognise(names: Iterable[str], path: Path) -> Format:
    """The format of a table, by its columns.

    Raises:
        NoRecording: it is none that SkyOps reads; the message lists them, the table's columns
            and what it lacks of the nearest.
        SkyOpsError: it lacks but one column of a recording, or has one twice.
    """
    has = list(names)
    lacks = {kind.name: sorted(set(kind.needed) - set(has)) for kind in (TRAFFIC, HISTORY)}
    nearest = min(lacks, key=lambda name: len(lacks[name]))
    kind = TRAFFIC if nearest == TRAFFIC.name else HISTORY
    if len(lacks[nearest]) <= _NEAR and (twice := {name for name in has if has.count(name) > 1}):
        raise SkyOpsError(
            f"The recording {shown(path)} has the column {', '.join(sorted(twice))} twice."
        )
    if not lacks[nearest]:
        return kind
    columns = first_few((_printable(name[:40]) for name in has), 30).replace("; ", ", ")
    is_near = len(lacks[nearest]) <= _NEAR
    raise (SkyOpsError if is_near else NoRecording)(
        f"The {'recording' if is_near else 'file'} {shown(path)} has no column "
        f"{', '.join(lacks[nearest])}, and so is not a {nearest}. "
        f"Its columns: {columns or 'none'}. {ACCEPTED}."
    )


def _printable(text: str) -> str:
    """A text from a file that may be anything, as a terminal can show it."""
    return "".join(c if c.isprintable() else "?" for c in text)
