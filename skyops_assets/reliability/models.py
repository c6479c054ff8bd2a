"""Models of sensor readings, and what age alone says; a limit on what they predict.

Belongs here: what is fitted. Does not: features and labels (`readings`), what a model is worth
(`trials`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import readings
from skyops_assets.reliability.interval import ranks
from skyops_assets.reliability.survival import kaplan_meier

if TYPE_CHECKING:
    import numpy as np

    from skyops_assets.reliability.readings import Unit

BOOSTING, FOREST = "gradient boosting", "random forest"
NEIGHBOURS = 400
"""Rows with the most similar predictions, whose true remaining lives make the 90 % interval."""


Predict = Callable[[Sequence["Unit"]], "np.ndarray"]


class Aged:
    """What a unit's age alone says, by the Kaplan-Meier curve of the units learned from."""

    def __init__(self, units: Sequence[Unit]) -> None:
        import numpy as np

        ages = np.array([unit.last for unit in units], float)
        curve = kaplan_meier(ages, np.array([unit.is_failed for unit in units], bool))
        self._survival = np.ones(int(ages.max()) + 1)
        for age, share in zip(curve.ages, curve.survival, strict=True):
            self._survival[int(age) :] = share

    def _at(self, ages: np.ndarray) -> np.ndarray:
        import numpy as np

        found: np.ndarray = self._survival[np.minimum(ages.astype(int), len(self._survival) - 1)]
        return found

    def fails_within(self, ages: np.ndarray, cycles: int) -> np.ndarray:
        """The probability of a failure within so many cycles; 1 beyond the longest life."""
        import numpy as np

        now, then = self._at(ages), self._at(ages + cycles)
        return np.where(now > 0, 1 - then / np.where(now > 0, now, 1), 1.0)

    def remaining(self, ages: np.ndarray, longest: int) -> np.ndarray:
        """The mean of the cycles left, at most `longest`; 0 beyond the longest life."""
        import numpy as np

        total: np.ndarray = sum((self._at(ages + step) for step in range(longest)), 0 * ages)
        now = self._at(ages)
        return np.where(now > 0, total / np.where(now > 0, now, 1), 0.0)


class Band:
    """A 90 % interval of the remaining life, from predictions of units not learned from."""

    def __init__(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        import numpy as np

        known = np.isfinite(truth) & np.isfinite(predicted)
        order = np.argsort(predicted[known], kind="stable")
        self._predicted, self._truth = predicted[known][order], truth[known][order]

    def around(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 5th and 95th percentile of what became of the most similar predictions."""
        import numpy as np

        size = min(NEIGHBOURS, len(self._truth))
        middle = np.searchsorted(self._predicted, predicted)
        starts = np.clip(middle - size // 2, 0, len(self._truth) - size)
        at = np.unique(starts)
        windows = np.lib.stride_tricks.sliding_window_view(self._truth, size)
        low, high = np.quantile(windows[at], (0.05, 0.95), axis=1)
        where = np.searchsorted(at, starts)
        return low[where], high[where]


def remaining_model(units: Sequence[Unit], policy: ReliabilityPolicy) -> Predict:
    """Gradient boosting of the cycles left, at most those that readings can tell."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    cap = policy.longest_life_cycles
    model = HistGradientBoostingRegressor(
        max_iter=120,
        learning_rate=0.06,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        early_stopping=False,
        random_state=0,
    )
    predict = _fitted(model, units, readings.remaining(units, cap), "predict")
    return lambda others: predict(others).clip(0, cap)


def within_model(units: Sequence[Unit], name: str, policy: ReliabilityPolicy) -> Predict:
    """A classifier of a failure within N cycles, as the probability of one."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    model: Any = (
        HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.08,
            max_leaf_nodes=15,
            min_samples_leaf=30,
            early_stopping=False,
            random_state=0,
        )
        if name == BOOSTING
        else RandomForestClassifier(
            n_estimators=100, min_samples_leaf=20, max_samples=0.5, random_state=0
        )
    )
    label = readings.fails_within(units, policy.fails_within_cycles)
    if np.nanmin(label) == np.nanmax(label):
        # Every life is shorter than the horizon: there is nothing to tell apart.
        always = float(np.nanmax(label))
        return lambda others: np.full(sum(len(unit.cycles) for unit in others), always)
    predict = _fitted(model, units, label, "predict_proba")
    return lambda others: predict(others)[:, -1]


def limit_of(units: Sequence[Unit], unseen: np.ndarray, policy: ReliabilityPolicy) -> float:
    """The predicted remaining life at which a unit comes off.

    The lowest that the target share of units reached `lead_cycles` before they failed, by
    predictions of models that had not learned from them.
    """
    import numpy as np

    whose = readings.owners(units)
    left = readings.remaining(units, policy.longest_life_cycles)
    lowest = sorted(
        float(unseen[(whose == i) & (left >= max(policy.lead_cycles, 1))].min(initial=np.inf))
        for i, unit in enumerate(units)
        if unit.is_failed
    )
    lowest = [value for value in lowest if np.isfinite(value)]
    rank = min(ceil((len(lowest) + 1) * policy.target_survival), len(lowest))
    return lowest[rank - 1] if lowest else 0.0


def unseen(units: Sequence[Unit], policy: ReliabilityPolicy, folds: int) -> np.ndarray:
    """Each reading's prediction by a model that has not learned from its unit."""
    import numpy as np

    whose = readings.owners(units)
    found = np.full(len(whose), np.nan)
    fold = np.array(ranks([unit.name for unit in units])) % folds
    for one in range(folds):
        others = [unit for unit, k in zip(units, fold, strict=True) if k != one]
        these = [unit for unit, k in zip(units, fold, strict=True) if k == one]
        found[np.isin(whose, np.flatnonzero(fold == one))] = remaining_model(others, policy)(these)
    return found


def _fitted(model: Any, units: Sequence[Unit], label: np.ndarray, ask: str) -> Predict:
    """Fit where the label is known, on columns that vary."""
    import numpy as np

    seen = readings.features(units)
    known = np.isfinite(label)
    # A comparison with what is missing is false, so that a column without a reading is left out.
    columns = np.flatnonzero(
        np.fmax.reduce(seen[known], axis=0) > np.fmin.reduce(seen[known], axis=0)
    )
    model.fit(seen[known][:, columns], label[known])
    return lambda others: np.asarray(getattr(model, ask)(readings.features(others)[:, columns]))
