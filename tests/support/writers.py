"""State vectors as the files that people have: every format that SkyOps reads.

Belongs here: units, names and rounding of each format. Does not: which rows (`tracks`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS

Row = dict[str, Any]


def _scaled(value: float | None, unit: float, step: float) -> float | None:
    return None if value is None else round(value / unit / step) * step


def traffic(row: Row) -> Row:
    """As `traffic` writes them: feet by 25, knots, feet a minute by 64."""
    return {
        "timestamp": row["time_position"].isoformat(),
        "icao24": row["icao24"],
        "callsign": row["callsign"],
        "latitude": round(row["latitude_deg"], 6),
        "longitude": round(row["longitude_deg"], 6),
        "altitude": _scaled(row["baro_altitude_m"], FOOT_M, 25),
        "geoaltitude": _scaled(row["geo_altitude_m"], FOOT_M, 25),
        "groundspeed": _scaled(row["velocity_mps"], KNOT_MPS, 1),
        "track": None if row["true_track_deg"] is None else round(row["true_track_deg"], 2) % 360,
        "vertical_rate": _scaled(row["vertical_rate_mps"], FOOT_PER_MINUTE_MPS, 64),
        "squawk": row["squawk"],
        "onground": row["is_on_ground"],
    }


def history(row: Row) -> Row:
    """As OpenSky's history has them: SI units, epoch seconds."""
    at = row["time_position"].timestamp()
    return {
        "time": int(at),
        "icao24": row["icao24"],
        "lat": round(row["latitude_deg"], 6),
        "lon": round(row["longitude_deg"], 6),
        "velocity": row["velocity_mps"],
        "heading": row["true_track_deg"],
        "vertrate": row["vertical_rate_mps"],
        "callsign": row["callsign"],
        "onground": row["is_on_ground"],
        "spi": False,
        "squawk": row["squawk"],
        "baroaltitude": row["baro_altitude_m"],
        "geoaltitude": row["geo_altitude_m"],
        "lastposupdate": at,
        "lastcontact": at,
    }


def vector(row: Row) -> list[Any]:
    """As a `/states/all` response has it with ``extended=1``: 18 values by position."""
    at = int(row["time_position"].timestamp())
    return [
        row["icao24"], (row["callsign"] or "").ljust(8) or None, "Netherlands", at, at,
        row["longitude_deg"], row["latitude_deg"], row["baro_altitude_m"], row["is_on_ground"],
        row["velocity_mps"], row["true_track_deg"], row["vertical_rate_mps"], None,
        row["geo_altitude_m"], row["squawk"], False, 0, row["category"],
    ]  # fmt: skip


def csv_text(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Rows as CSV; of no rows its header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def traffic_csv(path: Path, rows: Sequence[Row], *lacking: str) -> None:
    """A CSV of `traffic`'s columns without some of them."""
    found = [traffic(row) for row in rows]
    path.write_text(csv_text(found, [name for name in found[0] if name not in lacking]))


def traffic_csv_gz(path: Path, rows: Sequence[Row]) -> None:
    """The same, gzipped."""
    path.write_bytes(gzip.compress(csv_text([traffic(row) for row in rows]).encode()))


def traffic_json(path: Path, rows: Sequence[Row]) -> None:
    """JSON records; their times are milliseconds."""
    found = [{**traffic(row), "timestamp": int(row["time_position"].timestamp() * 1000)}
             for row in rows]  # fmt: skip
    path.write_text(json.dumps(found))


def traffic_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Parquet with times as timestamps."""
    found = [{**traffic(row), "timestamp": row["time_position"]} for row in rows]
    pq.write_table(pa.Table.from_pylist(found), path)


def history_csv(path: Path, rows: Sequence[Row]) -> None:
    """A CSV as of OpenSky's history."""
    path.write_text(csv_text([history(row) for row in rows]))


def history_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Parquet as of OpenSky's history."""
    pq.write_table(pa.Table.from_pylist([history(row) for row in rows]), path)


def rest_answers(folder: Path, rows: Sequence[Row]) -> None:
    """A folder of REST responses, one for each time."""
    folder.mkdir()
    by_time: dict[datetime, list[Row]] = {}
    for row in rows:
        by_time.setdefault(row["time_position"], []).append(row)
    for at, present in by_time.items():
        response = {"time": int(at.timestamp()), "states": [vector(row) for row in present]}
        (folder / f"{response['time']}.json").write_text(json.dumps(response))
