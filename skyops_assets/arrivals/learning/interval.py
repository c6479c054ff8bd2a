"""A 90 % prediction interval around any recipe's answer: conformalised quantile regression.

Belongs here: the pair of quantiles, its correction, and asking both. Does not: the answer itself
(`recipes`), or whether intervals hold what they promise (`evaluate`).

Romano, Patterson and Candes, "Conformalized Quantile Regression" (NeurIPS 2019): the 5 % and 95 %
quantiles are learned from the first part of the training window, and then moved apart, or together,
by as much as it takes to cover 90 % of the last part. That holds for arrivals like those; where
traffic changes, coverage is what `evaluate` measures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import FEATURES, LABEL, MIN_TRANSIT_MIN
from skyops_assets.arrivals.learning import split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

COVERAGE = 0.9
LEARNING_SHARE = 0.8
"""The first part of the training window; the rest calibrates, as far as `split` finds it enough."""

PARAMS: dict[str, Any] = {
    "loss": "quantile",
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 20211007,
}


def fit(pipeline: Pipeline, train: pd.DataFrame) -> dict[str, Any] | None:
    """The pair and its correction in minutes; None with too few rows to learn or calibrate from.

    Args:
        pipeline: fitted; its columns are those of the pair.
        train: the canonical arrivals it was fitted on.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingRegressor

    parts = split.temporal_split(train, LEARNING_SHARE)
    rank = math.ceil((len(parts.test) + 1) * COVERAGE)
    if len(parts.train) < 2 * PARAMS["min_samples_leaf"] or rank > len(parts.test):
        return None
    columns = pipeline.named_steps["columns"]
    given = columns.transform(parts.train[list(FEATURES)])
    # Known in the last part only: without any value the fit fails, and on one value no tree splits.
    given[:, np.isnan(given).all(axis=0)] = 0.0
    low, high = (
        HistGradientBoostingRegressor(**PARAMS, quantile=quantile).fit(given, parts.train[LABEL])
        for quantile in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    )
    asked = columns.transform(parts.test[list(FEATURES)])
    actual = parts.test[LABEL].to_numpy()
    outside = np.maximum(low.predict(asked) - actual, actual - high.predict(asked))
    return {
        "low": low,
        "high": high,
        "correction_min": float(np.sort(outside)[rank - 1]),
        "learning_rows": len(parts.train),
        "calibration_rows": len(parts.test),
    }


def of(pipeline: Any) -> dict[str, Any] | None:
    """What `fit` made for a pipeline of `fit.fit`; None where it has no interval.

    A model registered before there were any has none.
    """
    return getattr(pipeline, "interval_", None)


def record(fitted: dict[str, Any] | None) -> dict[str, Any] | None:
    """The numbers of what `fit` made, as JSON can hold them."""
    if fitted is None:
        return None
    numbers = ("correction_min", "learning_rows", "calibration_rows")
    return {"coverage": COVERAGE, **{name: fitted[name] for name in numbers}}


def predict(
    fitted: dict[str, Any], given: np.ndarray, minutes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high (minutes) around `minutes`, the pipeline's answers, which lie always within.

    `given` is what the pipeline's columns make of the rows asked about.

    Nothing is below the shortest transit that is learned from, unless the answer itself is.
    """
    import numpy as np

    low = fitted["low"].predict(given) - fitted["correction_min"]
    high = fitted["high"].predict(given) + fitted["correction_min"]
    return np.minimum(np.maximum(low, MIN_TRANSIT_MIN), minutes), np.maximum(high, minutes)
