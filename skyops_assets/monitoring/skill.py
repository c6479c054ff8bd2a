"""How well the predictor in force did in a window of time: the primary alarm.

Belongs here: choosing a window, and the champion's numbers in it. Does not: drift (`drift`), what
follows from it (`policy`), reading rows (`store`). A number that cannot be computed is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from skyops_assets.arrivals.evaluation import metrics as evaluate
from skyops_assets.arrivals.evaluation.metrics import Comparison, Metrics

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MIN_ROWS = 1000
"""Below it nothing is said: with no drift at all PSI > 0.1 fires on 17 % of windows of 200 rows."""
WINDOW_DAYS = (7, 14, 28)
"""The shortest of these that holds `MIN_ROWS` is the window: whole weeks, as traffic repeats."""


@dataclass(frozen=True)
class WindowSkill:
    """The predictor on the landed, out-of-sample arrivals that crossed in [start_at, end_at).

    `against` compares it with the best naive baseline of this very window.
    """

    start_at: datetime
    end_at: datetime
    rows: int
    metrics: Metrics
    against: Comparison | None

    @property
    def is_enough(self) -> bool:
        """Whether the window has the rows that a verdict needs."""
        return self.rows >= MIN_ROWS

    @property
    def skill(self) -> float | None:
        """1 - MAE / MAE of the best baseline; None with too few rows."""
        return self.against.skill if self.against and self.is_enough else None


def window_days(crossed_at: pd.Series, end_at: datetime) -> int:
    """How many days back from `end_at` (UTC) the window reaches."""
    for days in WINDOW_DAYS:
        inside = (crossed_at >= end_at - timedelta(days=days)) & (crossed_at < end_at)
        if int(inside.sum()) >= MIN_ROWS:
            return days
    return WINDOW_DAYS[-1]


def within(rows: pd.DataFrame, start_at: datetime, end_at: datetime) -> np.ndarray:
    """Flags of the rows that crossed in [start_at, end_at)."""
    inside: np.ndarray = (
        (rows["crossed_at"] >= start_at) & (rows["crossed_at"] < end_at)
    ).to_numpy()
    return inside


def measure(
    rows: pd.DataFrame,
    predicted: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    label: str,
    *,
    start_at: datetime,
    end_at: datetime,
) -> WindowSkill:
    """The predictor's numbers in one window.

    Args:
        rows: canonical arrivals, landed.
        predicted: minutes per row, NaN where there was no answer.
        baselines: name -> minutes per row, fitted on the same past as the predictor.
        label: the predictor's name in the comparison.
    """
    inside = within(rows, start_at, end_at)
    result = evaluate.evaluate(
        rows[inside].reset_index(drop=True),
        {name: minutes[inside] for name, minutes in baselines.items()},
        champion=(label, predicted[inside]),
    )
    own = result.score("champion")
    metrics = own.metrics if own else evaluate.NOT_MEASURED
    return WindowSkill(
        start_at, end_at, metrics.rows, metrics, own.against_baseline if own else None
    )
