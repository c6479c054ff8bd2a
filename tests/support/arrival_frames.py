"""Arrival frames for tests: a synthetic airport with known physics, and real LSZH history.

The LSZH features are built here in pandas, for development only: in SkyOps features are SQL.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.features import (
    CATEGORICAL,
    FEATURES,
    arrival_columns,
    canonical_arrivals,
)

SECTORS = np.array(["N", "NE", "E", "SE", "S", "SW", "W", "NW"])


def mirror() -> Path:
    """The data mirror; its absence skips the test, and fails it in CI."""
    folder = os.environ.get("SKYOPS_DATA_MIRROR")
    if not folder:
        reason = "SKYOPS_DATA_MIRROR is not set: no per-arrival history to test on"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(folder)


def raw_synthetic(
    rows: int, *, hours: float = 3.0, airports: int = 2, seed: int = 7, noise_min: float = 1.0
) -> pd.DataFrame:
    """`rows` arrivals spread over `hours`, as the features table would give them.

    transit = 12 + 2 per sector step + 0.6 per inbound aircraft + 2 per km of excess altitude
    + noise, so that a model has something to find which no baseline knows.
    """
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2021-10-07T12:00:00Z")
    crossed = start + pd.to_timedelta(np.sort(rng.uniform(0, hours * 60, rows)), unit="min")
    bearing = rng.uniform(0, 360, rows)
    sector = ((bearing + 22.5) // 45 % 8).astype(int)
    inbound = rng.poisson(4, rows)
    altitude = rng.normal(4000, 800, rows)
    transit = 12 + 2 * (sector % 4) + 0.6 * inbound + 2 * (altitude - 4000) / 1000
    transit = np.clip(transit + rng.normal(0, noise_min, rows), 5, 80)
    frame = pd.DataFrame(
        {
            "flight_id": [f"f{seed}-{i:05d}" for i in range(rows)],
            "airport": [f"LFP{chr(71 + i)}" for i in rng.integers(0, airports, rows)],
            "ring_nm": 40,
            "crossed_at": crossed.as_unit("us"),
            "is_inbound": True,
            "sector": SECTORS[sector],
            "bearing_sin": np.sin(np.radians(bearing)),
            "bearing_cos": np.cos(np.radians(bearing)),
            "altitude_m": altitude,
            "ground_speed_mps": rng.normal(150, 12, rows),
            "vertical_rate_mps": rng.normal(-5, 2, rows),
            "track_offset_deg": rng.normal(0, 15, rows),
            "inbound_inside_count": inbound,
            "predecessor_age_min": rng.exponential(3, rows),
            "local_hour": crossed.hour + crossed.minute / 60,
            "local_weekday": crossed.day_of_week,
            "landed_at": (crossed + pd.to_timedelta(transit, unit="min")).as_unit("us"),
            "transit_min": transit,
            "label_quality": "runway",
        }
    )
    for name in arrival_columns():
        if name not in frame:
            frame[name] = np.nan
    if rows:
        frame["last_transit_min"] = frame["transit_min"].shift(8)
        frame["last_transit_age_min"] = 5.0
    return frame


def synthetic(rows: int, **options: float) -> pd.DataFrame:
    """`raw_synthetic` in canonical form."""
    return canonical_arrivals(raw_synthetic(rows, **options))


def with_gaps(frame: pd.DataFrame, share: float = 0.2, seed: int = 3) -> pd.DataFrame:
    """A share of every feature's values missing."""
    rng = np.random.default_rng(seed)
    result = frame.copy()
    for name in FEATURES:
        missing = rng.random(len(frame)) < share
        result[name] = result[name].mask(missing, None if name in CATEGORICAL else np.nan)
    return result


def lszh(folder: Path, *months: str) -> pd.DataFrame:
    """Real LSZH arrivals of the given months (``2019-03``) with causal 40 NM features."""
    files = [f for month in months for f in sorted((folder / "arrivals").glob(f"LSZH-{month}-*"))]
    raw = pd.concat([pd.read_csv(f) for f in files], ignore_index=True).drop_duplicates("UID")
    for name in ("THR_TIME", "C40_TIME", "C100_TIME"):
        raw[name] = pd.to_datetime(raw[name], utc=True)
    raw = raw.dropna(subset=["THR_TIME", "C40_TIME", "C40_BRG"])
    minutes = (raw["THR_TIME"] - raw["C40_TIME"]).dt.total_seconds() / 60
    raw = raw[minutes.between(3, 90)].sort_values("C40_TIME").reset_index(drop=True)
    crossed = raw["C40_TIME"].to_numpy("datetime64[s]").astype("int64") / 60
    landed = raw["THR_TIME"].to_numpy("datetime64[s]").astype("int64") / 60
    transit = landed - crossed
    bearing = raw["C40_BRG"].to_numpy()
    sector = SECTORS[((bearing + 22.5) // 45 % 8).astype(int)]
    by_landing = np.argsort(landed, kind="stable")
    landings = landed[by_landing]
    rank = np.searchsorted(landings, crossed, "left")

    def last(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
        ends = landed[known]
        place = np.searchsorted(ends, crossed[rows], "left") - 1
        return np.where(place >= 0, known[np.maximum(place, 0)], -1)

    previous = last(by_landing, np.arange(len(raw)))
    in_sector = np.full(len(raw), -1)
    for name in SECTORS:
        known = by_landing[sector[by_landing] == name]
        rows = np.flatnonzero(sector == name)
        if len(known):
            in_sector[rows] = last(known, rows)

    def since(events: np.ndarray, window: float) -> np.ndarray:
        ordered = np.sort(events)
        return np.searchsorted(ordered, crossed, "left") - np.searchsorted(
            ordered, crossed - window, "left"
        )

    def of(values: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)

    heading = raw["RWY"].astype(str).str.extract(r"(\d+)")[0].astype(float).to_numpy() * 10
    recent = np.array(
        [transit[by_landing[max(0, r - 5) : r]].mean() if r else np.nan for r in rank]
    )
    local = raw["C40_TIME"].dt.tz_convert("Europe/Zurich")
    outer = (raw["C40_TIME"] - raw["C100_TIME"]).dt.total_seconds().to_numpy()
    frame = pd.DataFrame(
        {
            "flight_id": raw["UID"],
            "airport": "LSZH",
            "ring_nm": 40,
            "crossed_at": raw["C40_TIME"],
            "is_inbound": True,
            "sector": sector,
            "bearing_sin": np.sin(np.radians(bearing)),
            "bearing_cos": np.cos(np.radians(bearing)),
            "altitude_m": raw["C40_ALT"] * 0.3048,
            # Mean speed between the rings stands in for the ground speed at the crossing.
            "ground_speed_mps": np.where(outer > 0, 60 * 1852 / np.maximum(outer, 1), np.nan),
            "inbound_inside_count": np.searchsorted(np.sort(crossed), crossed, "left") - rank,
            "entries_15min_count": since(crossed, 15),
            "entries_30min_count": since(crossed, 30),
            "entries_60min_count": since(crossed, 60),
            "landings_15min_count": since(landed, 15),
            "landings_30min_count": since(landed, 30),
            "landings_60min_count": since(landed, 60),
            "predecessor_age_min": np.diff(crossed, prepend=np.nan),
            "last_transit_min": of(transit, previous),
            "last_transit_age_min": crossed - of(landed, previous),
            "mean_last5_transit_min": recent,
            "sector_last_transit_min": of(transit, in_sector),
            "sector_last_transit_age_min": crossed - of(landed, in_sector),
            "runway_in_use_sin": np.sin(np.radians(of(heading, previous))),
            "runway_in_use_cos": np.cos(np.radians(of(heading, previous))),
            "local_hour": local.dt.hour + local.dt.minute / 60,
            "local_weekday": local.dt.day_of_week,
            "landed_at": raw["THR_TIME"],
            "transit_min": transit,
            "label_quality": "threshold",
        }
    )
    for name in arrival_columns():
        if name not in frame:
            frame[name] = np.nan
    return canonical_arrivals(frame)
