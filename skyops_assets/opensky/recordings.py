"""Recordings of positions, read into state vectors.

Belongs here: file formats and their units. Does not: judging a value (`schema`) or
writing to the warehouse (`load`). Now: `traffic`-style JSON (feet, knots, ft/min), the
format of the demo's recording.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky.schema import STATE_VECTOR, rejection_reasons

FOOT_M = 0.3048
KNOT_MPS = 1852 / 3600
FOOT_PER_MINUTE_MPS = FOOT_M / 60

DEMO_START = datetime(2021, 10, 7, 12, tzinfo=UTC)
DEMO_END = datetime(2021, 10, 7, 15, tzinfo=UTC)
"""The hours that the demo's recording covers: Paris, 12 to 15 UTC."""


@dataclass(frozen=True)
class Recording:
    """Positions as read, and as state vectors; row i of one is row i of the other.

    Attributes:
        source: short name of where the rows come from; part of a row's identity.
        rows: the rows as the file has them, for keeping a rejected one unchanged.
        states: the same rows with `STATE_VECTOR`'s columns and units.
        problems: a string for each row that could not be read as a state vector, else null;
            None where every row could.
    """

    source: str
    rows: pa.Table
    states: pa.Table
    problems: pa.ChunkedArray | None = None

    @property
    def reasons(self) -> pa.ChunkedArray:
        """Why each row is rejected: unreadable, else untrue; null for a good one."""
        import pyarrow.compute as pc

        untrue = rejection_reasons(self.states)
        return untrue if self.problems is None else pc.coalesce(self.problems, untrue)

    def between(self, start: datetime, end: datetime) -> Recording:
        """The rows with ``start <= time_position < end``, and those without a time."""
        import pyarrow.compute as pc

        at = self.states["time_position"]
        within = pc.and_(
            pc.greater_equal(at, pa.scalar(start, at.type)), pc.less(at, pa.scalar(end, at.type))
        )
        # A row without a time belongs to no hour: each load of the file meets it, the first
        # rejects it, and for the later ones it is a duplicate.
        within = pc.fill_null(within, True)
        problems = None if self.problems is None else self.problems.filter(within)
        return Recording(
            self.source, self.rows.filter(within), self.states.filter(within), problems
        )


def demo_recording() -> Path:
    """Path of the Paris recording that ships as data inside the ``traffic`` wheel.

    Raises:
        SkyOpsError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("traffic")
    if spec is None or spec.origin is None:
        raise SkyOpsError(
            "The demo's recording is not installed: run `make demo`, which installs it, or set "
            "SKYOPS_RECORDING to a recording of your own."
        )
    return Path(spec.origin).parent / "data/samples/collections/quickstart.json.gz"


def read_recording(path: Path, start: datetime, end: datetime) -> Recording:
    """Read the rows of a recording with ``start <= timestamp < end``, and those without a time.

    Args:
        path: a `traffic`-style JSON file (records), gzip allowed: ``timestamp`` in epoch
            milliseconds, ``altitude`` in feet, ``groundspeed`` in knots, ``vertical_rate``
            in ft/min.

    Raises:
        SkyOpsError: the file is missing, cannot be read, lacks a column, or holds text
            where a number belongs.
    """
    import zlib

    import pandas as pd

    if not path.is_file():
        raise SkyOpsError(f"The recording {path} does not exist. Correct SKYOPS_RECORDING.")
    try:
        # No guessing of types: an address such as 1e1234 must not become a number.
        frame = pd.read_json(path, dtype=False)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise SkyOpsError(f"The recording {path} cannot be read as JSON records: {error}") from None
    needed = {"icao24", "timestamp", "latitude", "longitude"}
    if missing := sorted(needed - set(frame.columns)):
        raise SkyOpsError(f"The recording {path} has no column {', '.join(missing)}.")
    try:
        at = pd.to_datetime(frame["timestamp"], unit="ms", utc=True).dt.round("us")
        within = ((at >= start) & (at < end)) | at.isna()
        rows = pa.Table.from_pandas(frame[within], preserve_index=False)
        times = at[within].dt.tz_convert(None).to_numpy().astype("datetime64[us]")
        states = _from_traffic(rows, pa.array(times))
    except (ValueError, TypeError) as error:
        raise SkyOpsError(
            f"The recording {path} holds a value that is not of its column's kind: {error}"
        ) from None
    return Recording(f"recording:{path.name.split('.')[0]}", rows, states)


def _from_traffic(rows: pa.Table, at: pa.Array) -> pa.Table:
    """`traffic`'s columns and units as state vectors; what it does not have is null.

    Args:
        at: the time of each row.
    """
    import pyarrow.compute as pc

    def column(name: str, kind: pa.DataType, factor: float | None = None) -> pa.ChunkedArray:
        if name not in rows.column_names:
            return pa.chunked_array([pa.nulls(len(rows), kind)])
        values = rows[name].cast(kind)
        return values if factor is None else pc.multiply(values, factor)

    text, number = pa.string(), pa.float64()
    callsign = pc.utf8_trim_whitespace(column("callsign", text))
    found = {
        "icao24": pc.utf8_lower(column("icao24", text)),
        "callsign": pc.if_else(pc.equal(callsign, ""), pa.scalar(None, text), callsign),
        "time_position": at,
        "longitude_deg": column("longitude", number),
        "latitude_deg": column("latitude", number),
        "baro_altitude_m": column("altitude", number, FOOT_M),
        "geo_altitude_m": column("geoaltitude", number, FOOT_M),
        "is_on_ground": column("onground", pa.bool_()),
        "velocity_mps": column("groundspeed", number, KNOT_MPS),
        "true_track_deg": column("track", number),
        "vertical_rate_mps": column("vertical_rate", number, FOOT_PER_MINUTE_MPS),
        "squawk": column("squawk", text),
    }
    return pa.table(
        {
            field.name: found[field.name].cast(field.type)
            if field.name in found
            else pa.nulls(len(rows), field.type)
            for field in STATE_VECTOR
        },
        schema=pa.schema([field.with_nullable(True) for field in STATE_VECTOR]),
    )
