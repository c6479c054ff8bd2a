"""Ways to fit a model of arrivals: by name, with their parameters and what a search may try.

Belongs here: recipes and the pipelines they stand for. Does not: fitting with an interval
(`train`), trying candidates (`search`).

Every pipeline has two steps: ``columns`` makes numbers of FEATURES, and ``model`` makes minutes of
them. Ridge and the forests learn the logarithm of the minutes: their squared error then bears long
transits, and what they answer is above zero (LSZH 2019-03, forward-chained: ridge 2.21 against
2.30 min, extra trees 2.13 against 2.16).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, LABEL, NUMERIC, SEED
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Recipe:
    """A way to fit: a name, scikit-learn parameters, and the rows below which it says nothing.

    `params` are the model's own, and ``monotone``: the features with which the minutes may only
    rise (1) or only fall (-1). `candidates` are parameters that replace some of them, in the order
    in which a search tries them.
    """

    name: str
    params: dict[str, Any]
    candidates: tuple[dict[str, Any], ...] = ()

    @property
    def min_fit_rows(self) -> int:
        """Below it no tree can split: the model would be a median under another name."""
        return 2 * int(self.params.get("min_samples_leaf", 10))

    def using(self, params: dict[str, Any]) -> Recipe:
        """The recipe with some parameters replaced."""
        return replace(self, params={**self.params, **params})


GRADIENT_BOOSTING_L1 = Recipe(
    "hgb-l1",
    {
        "loss": "absolute_error",
        "learning_rate": 0.05,
        "max_iter": 300,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 10,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": SEED,
        "monotone": {"ground_speed_mps": -1, "near_leg_mps": -1},
    },
    candidates=(
        {"max_leaf_nodes": 63, "min_samples_leaf": 20},
        {"max_leaf_nodes": 15},
        {"min_samples_leaf": 5, "max_features": 0.7},
        {"max_iter": 600},
    ),
)
RIDGE = Recipe("ridge", {"alpha": 1.0}, candidates=({"alpha": 10.0}, {"alpha": 100.0}))
EXTRA_TREES = Recipe(
    "extra-trees",
    {"n_estimators": 100, "min_samples_leaf": 5, "max_features": 1.0, "random_state": SEED},
    candidates=({"min_samples_leaf": 3}, {"max_features": 0.5}),
)
RANDOM_FOREST = Recipe(
    "random-forest",
    {"n_estimators": 100, "min_samples_leaf": 5, "max_features": 0.5, "random_state": SEED},
    candidates=({"min_samples_leaf": 3}, {"max_features": 0.3}),
)
RECIPES = {
    recipe.name: recipe for recipe in (GRADIENT_BOOSTING_L1, RIDGE, EXTRA_TREES, RANDOM_FOREST)
}


def named(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        SkyOpsError: there is none.
    """
    if name not in RECIPES:
        raise SkyOpsError(
            f"There is no recipe {name!r}; SKYOPS_RECIPE is one of {', '.join(RECIPES)}."
        )
    return RECIPES[name]


def fit(train: pd.DataFrame, recipe: Recipe) -> Pipeline:
    """The fitted pipeline of a recipe; it takes FEATURES and gives minutes.

    Features that are null in every training row are left out and ignored later; an airport or
    sector not seen in training is none of those known. The same rows give the same model, bit for
    bit, where the caller keeps OpenMP to one thread.

    Args:
        train: canonical arrivals, at least `recipe.min_fit_rows`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    # One column per airport and sector instead of gradient boosting's own categories, which
    # skops only loads when told to trust functools.partial; equally good (2.04 min).
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=200, sparse_output=False
    )
    # Gradient boosting fails on a column without any value ("window shape cannot be larger").
    numbers = [name for name in NUMERIC if train[name].notna().any()]
    how = _bounded_numbers() if recipe.name == RIDGE.name else "passthrough"
    columns = ColumnTransformer(
        [("category", encoder, list(CATEGORICAL)), ("number", how, numbers)]
    )
    # The model is made when the encoder knows how many columns the categories take.
    given = columns.fit_transform(train[list(FEATURES)])
    model = _model(recipe, numbers, given.shape[1])
    model.fit(given, train[LABEL].to_numpy())
    return Pipeline([("columns", columns), ("model", model)])


def _bounded_numbers() -> Any:
    """What was missing told beside its median, and nothing beyond what training has seen."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        MinMaxScaler(clip=True),
        StandardScaler(),
    )


def _model(recipe: Recipe, numbers: list[str], width: int) -> Any:
    import numpy as np
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        HistGradientBoostingRegressor,
        RandomForestRegressor,
    )
    from sklearn.linear_model import Ridge

    if recipe.name == GRADIENT_BOOSTING_L1.name:
        params = {name: value for name, value in recipe.params.items() if name != "monotone"}
        directions = recipe.params.get("monotone", {})
        # The categories' columns come first, and no direction is theirs.
        signs = [0] * (width - len(numbers)) + [directions.get(name, 0) for name in numbers]
        return HistGradientBoostingRegressor(**params, monotonic_cst=signs)
    kind = {
        RIDGE.name: Ridge,
        EXTRA_TREES.name: ExtraTreesRegressor,
        RANDOM_FOREST.name: RandomForestRegressor,
    }[recipe.name]
    return TransformedTargetRegressor(kind(**recipe.params), func=np.log, inverse_func=np.exp)
