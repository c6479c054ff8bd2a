"""What one row of the model is: its key, features and label, their checks and their hash.

Belongs here: names, the canonical form of a frame, the fingerprint. Does not: computing a
feature (SQL does that, once, for training and serving alike), reading or writing tables.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from skyops_assets.arrivals.feature_table import GROUPS, TABLE, TEXT
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import pandas as pd

ARRIVALS_TABLE = "features.arrival_features"
CROSSINGS_TABLE = "features.crossing_features"

RINGS_NM = (100, 40)
"""The rings that have a model, each its own: from the outer one on there is an answer, from the
inner one on a better. The tables hold others too; each of these is to be among dbt's `rings_nm`."""
RING_NM = 40
"""The ring that is meant where none is named."""

KEY = ("flight_id", "airport", "ring_nm")
LABEL = "transit_min"
SEED = 20211007
"""Of everything that is drawn at random: equal rows give equal models, plots and verdicts."""
PROVISIONAL = "provisional"

_LEARNED = tuple(one for one in TABLE if one.group)
CATEGORICAL = tuple(one.name for one in _LEARNED if one.type == TEXT)
NUMERIC = tuple(one.name for one in _LEARNED if one.type != TEXT)
FEATURES = CATEGORICAL + NUMERIC
"""What the model sees. Angles enter as sine and cosine only; no column identifies a flight."""

FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(one.name for one in _LEARNED if one.group == group) for group in GROUPS
}
"""The features of each of `GROUPS`."""

IDENTIFIERS = frozenset({"flight_id", "icao24", "callsign", "registration", "squawk"})

AGES = ("outer_leg_min", *(name for name in NUMERIC if name.endswith("_age_min")))

MIN_TRANSIT_MIN = 3.0
MAX_TRANSIT_MIN = 90.0
"""Arrivals outside are not scored nor learned from. Of 24,645 at Zurich three take longer from 100
NM, and two from 40."""
FASTEST_ANYWHERE_KT = 800
"""Nor are those that came faster: under 3 minutes from 40 NM, under 7.5 from 100."""

LABEL_TOLERANCE_MIN = 0.1
_DECIMALS = 6
_CROSSING_COLUMNS = (*KEY, "crossed_at", "is_inbound", *(f for f in FEATURES if f not in KEY))
_ARRIVAL_COLUMNS = (*_CROSSING_COLUMNS, "landed_at", LABEL, "label_quality")
_TEXT = frozenset({"flight_id", *CATEGORICAL, "label_quality"})


def crossing_columns() -> tuple[str, ...]:
    """The columns read from ``features.crossing_features``."""
    return _CROSSING_COLUMNS


def arrival_columns() -> tuple[str, ...]:
    """The columns read from ``features.arrival_features``."""
    return _ARRIVAL_COLUMNS


def canonical_crossings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per crossing in the one form every step works on.

    Columns of `crossing_columns` in that order; text as object or None, numbers as float64
    rounded to 6 decimals (a sum in another order must not change the fingerprint), times as
    UTC, rows by time and key. Missing features stay missing.

    Raises:
        SkyOpsError: a column is missing or of the wrong type, a key is null or twice there,
            a number is infinite, or an age is negative (the feature saw the future).
    """
    return _canonical(frame, _CROSSING_COLUMNS, CROSSINGS_TABLE)


def canonical_arrivals(frame: pd.DataFrame) -> pd.DataFrame:
    """`canonical_crossings` with ``landed_at``, the label (minutes) and its quality.

    Raises:
        SkyOpsError: as `canonical_crossings`, and where the label is not the time between
            crossing and landing, the landing is before the crossing, or the local time is not
            the crossing's: then features, crossing and label are of different flights.
    """
    result = _canonical(frame, _ARRIVAL_COLUMNS, ARRIVALS_TABLE)
    _check_one_flight(result)
    known = result[result[LABEL].notna() & result["landed_at"].notna()]
    minutes = (known["landed_at"] - known["crossed_at"]).dt.total_seconds() / 60
    wrong = known[(minutes - known[LABEL]).abs() > LABEL_TOLERANCE_MIN]
    if len(wrong):
        row = wrong.iloc[0]
        raise SkyOpsError(
            f"{ARRIVALS_TABLE}: {LABEL} is {row[LABEL]:.2f} for flight {row['flight_id']!r}, but "
            f"it crossed at {row['crossed_at']} and landed at {row['landed_at']} "
            f"({len(wrong)} such rows). Correct the model that computes {LABEL}."
        )
    return result


def usable_arrivals(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows to learn and score on, and how many were left out for which reason."""
    has_label = frame[LABEL].notna() & frame["landed_at"].notna()
    shortest = frame["ring_nm"] * 60 / FASTEST_ANYWHERE_KT
    is_plausible = frame[LABEL].between(shortest, MAX_TRANSIT_MIN)
    # More data may still withdraw such a landing.
    is_settled = frame["label_quality"] != PROVISIONAL
    excluded = {
        "no label": int((~has_label).sum()),
        "provisional landing": int((has_label & ~is_settled).sum()),
        f"transit outside {shortest.min() if len(frame) else MIN_TRANSIT_MIN:g} to "
        f"{MAX_TRANSIT_MIN:g} min": int((has_label & is_settled & ~is_plausible).sum()),
    }
    return frame[has_label & is_settled & is_plausible].reset_index(drop=True), excluded


def shortest_transit_min(ring_nm: int) -> float:
    """Minutes from a ring that no arrival can beat."""
    return ring_nm * 60 / FASTEST_ANYWHERE_KT


def named(name: str, ring_nm: int) -> str:
    """What there is one of for each ring: plain for `RING_NM`, such as ``drift_100nm`` else."""
    return name if ring_nm == RING_NM else f"{name}_{ring_nm}nm"


def text_columns() -> frozenset[str]:
    """The columns that are text."""
    return _TEXT


def fingerprint(frame: pd.DataFrame, ring_nm: int) -> str:
    """SHA-256 (hex) of a canonical frame's content, independent of row and column order.

    Args:
        frame: the result of `canonical_arrivals` or `usable_arrivals`.
        ring_nm: the ring, which tells empty training sets apart.
    """
    digest = hashlib.sha256(f"arrivals/1 ring {ring_nm} rows {len(frame)}\n".encode())
    ordered = frame.sort_values(["crossed_at", *KEY], kind="stable")
    for name in sorted(ordered.columns):
        column = ordered[name]
        digest.update(f"\n{name}\n".encode())
        if name in _TEXT:
            values = ("\x00" if value is None else f"{len(value)}:{value}" for value in column)
            digest.update("\n".join(values).encode())
        elif name.endswith("_at"):
            digest.update(column.dt.as_unit("us").astype("int64").to_numpy("<i8").tobytes())
        elif column.dtype.kind == "f":
            # NaN has many bit patterns and zero has two; adding 0.0 unites the zeros.
            digest.update((column.dropna().to_numpy("<f8") + 0.0).tobytes())
            digest.update(column.isna().to_numpy("u1").tobytes())
        else:
            digest.update(column.to_numpy("<i8").tobytes())
    return digest.hexdigest()


def _canonical(frame: pd.DataFrame, columns: tuple[str, ...], table: str) -> pd.DataFrame:
    import pandas as pd

    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SkyOpsError(
            f"{table} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}. "
            "Rebuild it with dbt, or add it to the model."
        )
    result = pd.DataFrame(
        {name: _column(frame[name], name, table) for name in columns}, columns=list(columns)
    )
    for name in (*KEY, "crossed_at"):
        if result[name].isna().any():
            raise SkyOpsError(f"{table}: {name} is null in {int(result[name].isna().sum())} rows.")
    result["ring_nm"] = result["ring_nm"].astype("int64")
    twice = result[result.duplicated(list(KEY))]
    if len(twice):
        row = twice.iloc[0]
        raise SkyOpsError(
            f"{table} has flight {row['flight_id']!r} at {row['airport']} ring {row['ring_nm']} "
            f"more than once ({len(twice)} such rows); it must have one row per flight, airport "
            "and ring."
        )
    for name in AGES:
        early = result[result[name] < 0]
        if len(early):
            row = early.iloc[0]
            raise SkyOpsError(
                f"{table}: {name} is {row[name]:g} for flight {row['flight_id']!r} "
                f"({len(early)} such rows). A negative age means that the feature saw the future."
            )
    return result.sort_values(["crossed_at", *KEY], kind="stable").reset_index(drop=True)


def _check_one_flight(frame: pd.DataFrame) -> None:
    minute = frame["crossed_at"].dt.hour * 60 + frame["crossed_at"].dt.minute
    # Every time zone is a multiple of 15 minutes off UTC.
    off = (frame["local_hour"] * 60 - minute + 7.5) % 15 - 7.5
    for wrong, what in (
        (frame["landed_at"] < frame["crossed_at"], "landed at {landed_at}, before it crossed"),
        (off.abs() > LABEL_TOLERANCE_MIN, "has a local_hour of {local_hour:.3f}, another time"),
    ):
        if wrong.any():
            row = frame[wrong].iloc[0]
            raise SkyOpsError(
                f"{ARRIVALS_TABLE}: flight {row['flight_id']!r} crossed at {row['crossed_at']}, "
                f"but {what.format(**row)} ({int(wrong.sum())} such rows). Features, crossing and "
                "landing must belong to one flight: correct the key by which they are joined."
            )


def _column(column: pd.Series, name: str, table: str) -> pd.Series:
    import numpy as np
    import pandas as pd

    if name in _TEXT:
        text = column.astype(object)
        wrong = text[text.notna() & ~text.map(lambda value: isinstance(value, str))]
        if len(wrong):
            raise SkyOpsError(f"{table}: {name} is text, but has the value {wrong.iloc[0]!r}.")
        return text.where(text.notna(), None)
    if name.endswith("_at"):
        if not len(column) or column.isna().all():
            return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")
        if not isinstance(column.dtype, pd.DatetimeTZDtype):
            raise SkyOpsError(
                f"{table}: {name} must be a time with a time zone, but is {column.dtype}, such as "
                f"{column.iloc[0]!r}."
            )
        return column.dt.tz_convert("UTC").dt.as_unit("us")
    if name == "is_inbound":
        if column.isna().any() or not column.map(lambda v: isinstance(v, (bool, np.bool_))).all():
            raise SkyOpsError(f"{table}: {name} must be true or false in every row.")
        return column.astype(bool)
    try:
        numbers = column.astype("float64")
    except (TypeError, ValueError):
        raise SkyOpsError(
            f"{table}: {name} must be a number, but is {column.dtype}, such as "
            f"{column.dropna().iloc[0]!r}."
        ) from None
    if np.isinf(numbers).any():
        raise SkyOpsError(f"{table}: {name} is infinite in {int(np.isinf(numbers).sum())} rows.")
    return numbers.round(_DECIMALS)
