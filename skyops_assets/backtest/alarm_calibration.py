"""How often the alarms cry wolf, and what they find: trials on an undisturbed period.

Belongs here: drawing windows from the period's days, disturbing them, and counting. Does not: the
alarms themselves (`skill`, `drift`, `policy`).

The period is the reference, and a trial draws two windows of seven of its days each, with
replacement. The champion was trained on what landed before the period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import LABEL, NUMERIC, SEED
from skyops_assets.arrivals.learning import baselines, fit
from skyops_assets.errors import SkyOpsError
from skyops_assets.monitoring import drift, skill
from skyops_assets.monitoring.policy import RetrainPolicy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WINDOW_DAYS = 7
TRAFFIC_SHARE = 0.3
ALTITUDE_BIAS_M = 300 * 0.3048
LONGER_WAY_MIN = 3.0
"""What the way to another runway takes longer."""

Disturbance = Callable[["pd.DataFrame", "np.random.Generator"], "pd.DataFrame"]


@dataclass(frozen=True)
class Outcome:
    """The alarms of one disturbance.

    Attributes:
        trials: pairs of windows.
        drift_windows: of the two windows of each trial, those over the drift limit.
        skill_alarms: trials whose skill was below the floor in both windows.
        found: trials with either.
        columns: the columns beyond their thresholds, with the windows that had them.
    """

    disturbance: str
    trials: int
    drift_windows: int
    skill_alarms: int
    found: int
    columns: dict[str, int]


def undisturbed(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """As it was."""
    return rows


def removed_runway(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """The direction that most aircraft landed in is closed.

    Where it was in use the next most used one is, and there all transits, those of the others that
    a feature tells included, take `LONGER_WAY_MIN` longer.
    """
    directions = rows[["runway_in_use_sin", "runway_in_use_cos"]].value_counts()
    if len(directions) < 2:
        raise SkyOpsError("The period has only one runway direction; it cannot be removed.")
    closed, other = directions.index[:2]
    is_closed = (rows["runway_in_use_sin"] == closed[0]) & (rows["runway_in_use_cos"] == closed[1])
    result = rows.copy()
    result.loc[is_closed, "runway_in_use_sin"] = other[0]
    result.loc[is_closed, "runway_in_use_cos"] = other[1]
    for name in [LABEL, *(n for n in NUMERIC if n.endswith("transit_min"))]:
        result.loc[is_closed, name] += LONGER_WAY_MIN
    return result


def more_traffic(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every counted aircraft is followed by another one with probability `TRAFFIC_SHARE`.

    Transits and ages stay as they are, though both would change.
    """
    result = rows.copy()
    for name in [name for name in NUMERIC if name.endswith("_count")]:
        there = result[name].notna()
        counts = result.loc[there, name]
        result.loc[there, name] = counts + rng.binomial(counts.astype(int), TRAFFIC_SHARE)
    return result


def altitude_bias(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """All altitudes are 300 ft too high."""
    return rows.assign(altitude_m=rows["altitude_m"] + ALTITUDE_BIAS_M)


DISTURBANCES: dict[str, Disturbance] = {
    "undisturbed": undisturbed,
    "removed runway": removed_runway,
    "30 % more traffic": more_traffic,
    "altitude 300 ft too high": altitude_bias,
}


def calibrate(
    rows: pd.DataFrame,
    start_at: datetime,
    end_at: datetime,
    *,
    false_alarm_trials: int = 100,
    power_trials: int = 25,
    policy: RetrainPolicy | None = None,
) -> Iterator[Outcome]:
    """The outcome of each disturbance, one after the other.

    Args:
        rows: usable arrivals, of the period [start_at, end_at) and from before it.
        false_alarm_trials: of the undisturbed period, two windows each.
        power_trials: of each disturbance.

    Raises:
        SkyOpsError: the period has too few days, or there is nothing from before it to learn from.
    """
    import numpy as np
    import pandas as pd

    rules = policy or RetrainPolicy()
    past = rows[rows["landed_at"] < start_at].reset_index(drop=True)
    period = rows[skill.within(rows, start_at, end_at)].reset_index(drop=True)
    by_day = [day for _, day in period.groupby(period["crossed_at"].dt.floor("D"))]
    if len(by_day) < 3 * WINDOW_DAYS:
        raise SkyOpsError(
            f"The period has {len(by_day)} days with arrivals, and {3 * WINDOW_DAYS} are needed. "
            "Load more of the history, or choose another period."
        )
    model = fit.fit(past)
    fitted = baselines.fit_baselines(past)

    def measured(window: pd.DataFrame) -> float | None:
        found = skill.measure(
            window,
            fit.predict(model, window),
            {name: baseline.predict(window) for name, baseline in fitted.items()},
            "champion",
            start_at=start_at,
            end_at=end_at,
        )
        return found.skill

    floor = rules.skill_floor(measured(period))
    for name, disturb in DISTURBANCES.items():
        rng = np.random.default_rng(SEED)
        trials = false_alarm_trials if disturb is undisturbed else power_trials
        drifted = alarms = found = 0
        columns: dict[str, int] = {}
        for _ in range(trials):
            seen, lows = [], []
            for drawn in rng.integers(0, len(by_day), (2, WINDOW_DAYS)):
                days = pd.concat([by_day[day] for day in drawn], ignore_index=True)
                window = disturb(days, rng)
                result = drift.compare_windows(
                    period, window, window_days=WINDOW_DAYS, classify=False
                )
                seen.append((result.score or 0.0) > rules.max_drift_score)
                value = measured(window)
                lows.append(value is not None and value < floor)
                for column in result.columns:
                    columns[column] = columns.get(column, 0) + 1
            drifted += sum(seen)
            alarms += all(lows)
            found += any(seen) or all(lows)
        yield Outcome(name, trials, drifted, alarms, found, columns)
