"""Try a recipe's candidates forward in time, within the training window.

Belongs here: the folds and the choice. Does not: what is tried (`recipes`), or the test rows, which
are not even given.

The budget is a number of candidates, never of seconds: the same rows make the same choice on a
slow machine, and so the same model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import FEATURES, LABEL
from skyops_assets.arrivals.learning import recipes, split
from skyops_assets.arrivals.learning.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

SHARES = (0.5, 0.667, 0.833, 1.0)
"""Each fold learns from the crossings before one share and is judged on those up to the next."""

MIN_ROWS = 5000
"""Half of them judge. The standard error of a gain is 0.45 % of the MAE with 2,500 arrivals, 0.7 %
with 1,000 (LSZH 2019-03)."""

MIN_GAIN = 0.005
"""A candidate replaces the recipe's own parameters only where its MAE is this share lower."""


def choose(train: pd.DataFrame, recipe: Recipe, trials: int) -> tuple[Recipe, dict[str, Any]]:
    """The recipe with the parameters of the lowest MAE over all folds, and what was found.

    Its own parameters stay where no candidate gains `MIN_GAIN`.

    Args:
        train: canonical arrivals of the training window.
        trials: how many of the recipe's candidates are tried beside its own parameters.

    Returns:
        The recipe to fit, and a record that JSON can hold: ``skipped`` (why nothing was tried,
        or None), ``folds`` (cut_at, train_rows, test_rows), ``candidates`` (params, mae_min,
        fold_mae_min; the recipe's own first) and ``chosen``, the place among them.
    """
    import numpy as np

    tried = ({}, *recipe.candidates[:trials])
    skipped = None
    if len(tried) == 1:
        skipped = "no candidates were asked for"
    elif len(train) < MIN_ROWS:
        skipped = f"{len(train)} training arrivals are too few for folds (needs {MIN_ROWS})"
    if skipped:
        return recipe, {"skipped": skipped, "folds": [], "candidates": [], "chosen": None}
    folds = _folds(train)
    errors = [[_errors(fold, recipe.using(params)) for fold in folds] for params in tried]
    maes = [float(np.mean(np.concatenate(each))) for each in errors]
    best = maes.index(min(maes))
    if maes[best] > (1 - MIN_GAIN) * maes[0]:
        best = 0
    return recipe.using(tried[best]), {
        "skipped": None,
        "folds": [
            {
                "cut_at": str(fold.cut_at),
                "train_rows": len(fold.train),
                "test_rows": len(fold.test),
            }
            for fold in folds
        ],
        "candidates": [
            {
                "params": params,
                "mae_min": mae,
                "fold_mae_min": [float(np.mean(fold)) for fold in each],
            }
            for params, mae, each in zip(tried, maes, errors, strict=True)
        ],
        "chosen": best,
    }


def _folds(train: pd.DataFrame) -> list[split.Split]:
    times = train["crossed_at"].sort_values(kind="stable").reset_index(drop=True)
    cuts = [times.iloc[round(len(times) * share)] for share in SHARES[:-1]]
    ends = [*cuts[1:], None]
    return [
        split.split_at(train if end is None else train[train["crossed_at"] < end], cut)
        for cut, end in zip(cuts, ends, strict=True)
    ]


def _errors(fold: split.Split, recipe: Recipe) -> Any:
    import numpy as np

    model = recipes.fit(fold.train, recipe)
    return np.abs(model.predict(fold.test[list(FEATURES)]) - fold.test[LABEL].to_numpy())
