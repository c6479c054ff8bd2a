"""Fit a challenger on training rows, the same rows always giving the same model.

Belongs here: fitting a recipe with its interval, the identity of a training, and asking a model.
Does not: what a recipe is (`recipes`), which of its parameters (`search`), which rows (`split`),
how good it is (`evaluate`), where it is kept (`registry`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import FEATURES
from skyops_assets.arrivals.learning import interval, recipes, search, split
from skyops_assets.arrivals.learning.recipes import GRADIENT_BOOSTING_L1, Recipe
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

OUTPUTS = ("transit_min", "low_min", "high_min")
"""The prediction, and its interval where a model has one."""


def identity(fingerprint: str, recipe: Recipe, train_share: float, trials: int = 0) -> str:
    """The training run's id (16 hex digits): equal exactly where the model must be equal.

    Made of the rows' fingerprint, the recipe, the candidates that a search tries and its folds,
    the interval's parameters, the features, the split and the version of scikit-learn, so that
    training again finds what is there instead of adding to it.
    """
    tried = recipe.candidates[:trials]
    parts = [
        fingerprint,
        recipe.name,
        recipe.params,
        [tried, search.SHARES, search.MIN_ROWS, search.MIN_GAIN] if tried else None,
        [interval.PARAMS, interval.COVERAGE, interval.LEARNING_SHARE],
        FEATURES,
        [train_share, split.ENOUGH_TEST_DAYS, split.ENOUGH_TEST_ROWS],
        version("scikit-learn"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def choose(train: pd.DataFrame, recipe: Recipe, trials: int) -> tuple[Recipe, dict[str, Any]]:
    """`search.choose` on one thread."""
    with one_thread():
        return search.choose(train, recipe, trials)


def fit(train: pd.DataFrame, recipe: Recipe = GRADIENT_BOOSTING_L1) -> Pipeline:
    """The fitted pipeline; it takes a frame with the columns FEATURES and gives minutes.

    Its attribute ``interval_`` is what `predict_interval` asks, None with too few rows for one.
    See `recipes.fit` for missing features and unknown airports.

    Args:
        train: canonical arrivals.

    Raises:
        SkyOpsError: there are fewer rows than `recipe.min_fit_rows`.
    """
    if len(train) < recipe.min_fit_rows:
        raise SkyOpsError(
            f"{recipe.name} cannot be fitted on {len(train)} rows; it needs {recipe.min_fit_rows}."
        )
    with one_thread():
        pipeline = recipes.fit(train, recipe)
        pipeline.interval_ = interval.fit(pipeline, train)
        return pipeline


def predict(model: Any, frame: pd.DataFrame) -> np.ndarray:
    """Minutes for each row of a canonical frame."""
    import numpy as np

    if not len(frame):
        return np.empty(0)
    with one_thread():
        return np.asarray(model.predict(frame[list(FEATURES)]), dtype="float64")


def predict_interval(model: Any, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
    """Low and high (minutes) for each row of a canonical frame, with `predict`'s answer between.

    The actual transit is to lie within in 90 % of the cases. None: the model has no interval,
    because it was registered before there were any, or from too few rows.
    """
    _, *bounds = predict_all(model, frame).values()
    return (bounds[0], bounds[1]) if bounds else None


def predict_all(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """All that a model says of each row of a canonical frame: `OUTPUTS` -> minutes.

    Without an interval (see `predict_interval`) only the first.
    """
    import numpy as np

    fitted = interval.of(model)
    if fitted is None:
        return {OUTPUTS[0]: predict(model, frame)}
    if not len(frame):
        return dict.fromkeys(OUTPUTS, np.empty(0))
    with one_thread():
        # Once for all: of one row it takes as long as the models.
        given = model.named_steps["columns"].transform(frame[list(FEATURES)])
        minutes = np.asarray(model.named_steps["model"].predict(given), dtype="float64")
        low, high = interval.predict(fitted, given, minutes)
    return dict(zip(OUTPUTS, (minutes, low, high), strict=True))


def max_abs_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """By how many minutes two `predict_all` to the same rows differ at most.

    Infinite where only one has an interval; NaN where a number is missing.
    """
    import numpy as np

    if one.keys() != other.keys():
        return math.inf
    return float(np.max([np.max(np.abs(one[name] - other[name]), initial=0) for name in one]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenMP and BLAS to one thread: sums in another order differ in the last bit.

    OpenMP's threads wait for each other by spinning: on a machine whose four cores had other work,
    fitting 10,000 rows took 131.7 s with four threads and 1.2 s with one (50,000 rows: 27.5
    against 2.9 s). On idle cores four threads would save one second of three.
    """
    # Only libraries that are loaded by now can be limited.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
