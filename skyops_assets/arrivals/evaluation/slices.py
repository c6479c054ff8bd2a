"""Parts of the test rows that a mean over all of them can hide.

Belongs here: which row is in which part. Does not: measuring them (`evaluate`), or saying what is
too bad (`gate.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd

NIGHT_FROM_HOUR, NIGHT_UNTIL_HOUR = 22, 7
"""Local time, as in EUROCONTROL's additional ASMA time."""
PEAK_QUANTILE = 0.75
REFERENCE_QUANTILE = 0.05
"""EUROCONTROL's reference is the 5th percentile as well, by runway and over twelve months."""
MIN_REFERENCE_ROWS = 20
ADDITIONAL_BINS_MIN = (2.0, 5.0, 10.0)
CHANGE_DEG = 30
"""As metrics.runway_configuration_changes: less is a parallel runway, or nearly one."""
CHANGE_WITHIN_MIN = 60
EXTREME_DELAY_MIN = 60.0
"""As metrics.punctuality_daily counts extreme delays."""


@dataclass(frozen=True)
class Slice:
    """Test rows that have something in common.

    `is_gated` is False where the actual transit says who belongs to it: a predictor that never
    leaves the median has no error at all where the median happened, and cannot be beaten there.
    """

    kind: str
    name: str
    rows: np.ndarray
    is_gated: bool = True


def slices(train: pd.DataFrame, test: pd.DataFrame, delays: pd.Series | None = None) -> list[Slice]:
    """Every part that has rows.

    Args:
        train: canonical arrivals that say what is usual: peak, and transit without delay.
        test: canonical arrivals.
        delays: minutes by which arrivals came later than scheduled, by airport and flight; of
            those that are in no schedule nothing is said.

    Kinds: ``airport``; ``sector`` (airport and entry sector); ``traffic``, peak where at least as
    many entered within 60 minutes as in the busiest quarter of the airport's training rows;
    ``time of day``, night is 22:00 to 07:00 local; ``runway``, changed where the landing
    direction known at the crossing turned by more than 30 degrees in the 60 minutes before;
    ``additional time``, transit less the 5th percentile of airport and sector in training (of the
    airport, with fewer than 20 rows), in minutes; ``schedule``, extreme delay where it arrived
    more than 60 minutes later than scheduled.
    """
    return [part for part in _all(train, test, delays) if part.rows.any()]


def _all(train: pd.DataFrame, test: pd.DataFrame, delays: pd.Series | None) -> Iterator[Slice]:
    import numpy as np
    import pandas as pd

    for airport in sorted(test["airport"].unique()):
        here = (test["airport"] == airport).to_numpy()
        yield Slice("airport", airport, here)
        sectors = test["sector"].where(here)
        for sector in sorted(sectors.dropna().unique()):
            yield Slice("sector", f"{airport} {sector}", (sectors == sector).to_numpy())
    entries = test["entries_60min_count"]
    busy = test["airport"].map(
        train.groupby("airport")["entries_60min_count"].quantile(PEAK_QUANTILE)
    )
    is_known = (entries.notna() & busy.notna()).to_numpy()
    is_peak = (entries >= busy).to_numpy()
    yield Slice("traffic", "peak", is_known & is_peak)
    yield Slice("traffic", "off-peak", is_known & ~is_peak)
    hour = test["local_hour"].to_numpy()
    is_night = (hour >= NIGHT_FROM_HOUR) | (hour < NIGHT_UNTIL_HOUR)
    yield Slice("time of day", "night", is_night)
    yield Slice("time of day", "day", ~is_night & ~np.isnan(hour))
    has_runway, has_changed = _runway_changed(test)
    yield Slice("runway", "changed", has_changed)
    yield Slice("runway", "as before", has_runway & ~has_changed)
    additional = test[LABEL].to_numpy() - reference_min(train, test)
    edges = (-np.inf, *ADDITIONAL_BINS_MIN, np.inf)
    for low, high in pairwise(edges):
        name = f"under {high:g} min" if low == -np.inf else f"{low:g} to {high:g} min"
        name = f"{low:g} min or more" if high == np.inf else name
        rows = (additional >= low) & (additional < high)
        yield Slice("additional time", name, rows, is_gated=False)
    if delays is not None:
        late_min = delays.reindex(pd.MultiIndex.from_frame(test[["airport", "flight_id"]]))
        is_late = late_min.to_numpy("float64") > EXTREME_DELAY_MIN
        # The transit is in the delay.
        yield Slice("schedule", "extreme delay", is_late, is_gated=False)
        yield Slice("schedule", "no extreme delay", ~is_late & late_min.notna().to_numpy(),
                    is_gated=False)  # fmt: skip


def reference_min(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """The transit without delay, minutes per row of `test`; NaN for an airport not in `train`."""
    import numpy as np

    by_airport = train.groupby("airport")[LABEL].quantile(REFERENCE_QUANTILE)
    pairs = train.groupby(["airport", "sector"])[LABEL]
    enough = pairs.size() >= MIN_REFERENCE_ROWS
    by_sector = pairs.quantile(REFERENCE_QUANTILE)[enough].to_dict()
    keys = zip(test["airport"], test["sector"], strict=True)
    own = np.array([by_sector.get(key, np.nan) for key in keys], dtype="float64")
    return np.where(np.isnan(own), test["airport"].map(by_airport).to_numpy("float64"), own)


def _runway_changed(test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a runway in use, and those with another one within the hour before."""
    import numpy as np
    import pandas as pd

    changed = pd.Series(False, index=test.index)
    direction = pd.Series(
        np.degrees(np.arctan2(test["runway_in_use_sin"], test["runway_in_use_cos"])),
        index=test.index,
    )
    for _, known in direction.dropna().groupby(test["airport"]):
        at = test.loc[known.index, "crossed_at"]
        turned = (known.diff() + 180) % 360 - 180
        last_turn = at.where(turned.abs() > CHANGE_DEG).ffill()
        changed[known.index] = at - last_turn <= pd.Timedelta(minutes=CHANGE_WITHIN_MIN)
    return direction.notna().to_numpy(), changed.to_numpy()
