"""Fit a challenger on training rows, the same rows always giving the same model.

Belongs here: recipes (what is fitted, with which parameters) and their identity. Does not:
which rows (`split`), how good it is (`evaluate`), where it is kept (`registry`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, LABEL, NUMERIC
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Recipe:
    """A way to fit: a name, scikit-learn parameters, and the rows below which it says nothing."""

    name: str
    params: dict[str, Any]

    @property
    def min_fit_rows(self) -> int:
        """Below it no tree can split: the model would be a median under another name."""
        return 2 * int(self.params["min_samples_leaf"])


GRADIENT_BOOSTING_L1 = Recipe(
    "hgb-l1",
    # Forward-chained on LSZH 2019-03, MAE in minutes: 2.043; between 2.030 and 2.080 for ten
    # other settings (8 to 31 leaves, 150 to 600 trees), so these are not tuned to a decimal.
    # Leaves of 10 instead of 20 rows: 3.99 against 4.38 when only 50 rows are known.
    {
        "loss": "absolute_error",
        "learning_rate": 0.05,
        "max_iter": 300,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 10,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": 20211007,
    },
)


def identity(fingerprint: str, recipe: Recipe, train_share: float) -> str:
    """The training run's id (16 hex digits): equal exactly where the model must be equal.

    Made of the rows' fingerprint, the recipe, the features, the split and the version of
    scikit-learn, so that training again finds what is there instead of adding to it.
    """
    parts = [
        fingerprint,
        recipe.name,
        recipe.params,
        FEATURES,
        train_share,
        version("scikit-learn"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def fit(train: pd.DataFrame, recipe: Recipe = GRADIENT_BOOSTING_L1) -> Pipeline:
    """The fitted pipeline; it takes a frame with the columns FEATURES and gives minutes.

    Features that are null in every training row are left out of the fit and ignored later;
    an airport or sector not seen in training is none of those known.

    Args:
        train: canonical arrivals.

    Raises:
        SkyOpsError: there are fewer rows than `recipe.min_fit_rows`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    if len(train) < recipe.min_fit_rows:
        raise SkyOpsError(
            f"{recipe.name} cannot be fitted on {len(train)} rows; it needs {recipe.min_fit_rows}."
        )
    # One column per airport and sector instead of gradient boosting's own categories, which
    # skops only loads when told to trust functools.partial; equally good (2.04 min).
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=200, sparse_output=False
    )
    # Gradient boosting fails on a column without any value ("window shape cannot be larger").
    numbers = [name for name in NUMERIC if train[name].notna().any()]
    columns = ColumnTransformer(
        [("category", encoder, list(CATEGORICAL)), ("number", "passthrough", numbers)]
    )
    model = HistGradientBoostingRegressor(**recipe.params)
    pipeline = Pipeline([("columns", columns), ("model", model)])
    with one_thread():
        return pipeline.fit(train[list(FEATURES)], train[LABEL])


def predict(model: Any, frame: pd.DataFrame) -> np.ndarray:
    """Minutes for each row of a canonical frame."""
    import numpy as np

    if not len(frame):
        return np.empty(0)
    with one_thread():
        return np.asarray(model.predict(frame[list(FEATURES)]), dtype="float64")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenMP to one thread.

    Its threads wait for each other by spinning: on a machine whose four cores had other work,
    fitting 10,000 rows took 131.7 s with four threads and 1.2 s with one (50,000 rows: 27.5
    against 2.9 s). On idle cores four threads would save one second of three.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        yield
