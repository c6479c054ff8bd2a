"""Try a recipe's candidates forward in time, within the training window.

Belongs here: the folds and the choice. Does not: what is tried (`recipes`), or the test rows, which
are not even given.

The budget is a number of candidates, never of seconds: the same rows make the same choice on a
slow machine, and so the same model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import recipes, split
from skyops_assets.arrivals.features import FEATURES, LABEL
from skyops_assets.arrivals.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

SHARES = (0.5, 0.667, 0.833, 1.0)
"""Each fold learns from the crossings before one share and is judged on those up to the next."""

MIN_ROWS = 2000
"""Below it a fold judges on fewer than about 300 arrivals."""

MIN_GAIN = 0.005
"""A candidate takes the place of the recipe's own parameters only if its MAE is this share lower:
other seeds alone move it by half of that (LSZH 2019-03)."""


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
    found = []
    for params in tried:
        errors = [_errors(fold, recipe.using(params)) for fold in folds]
        found.append(
            {
                "params": params,
                "mae_min": float(np.mean(np.concatenate(errors))),
                "fold_mae_min": [float(np.mean(each)) for each in errors],
            }
        )
    best = min(range(len(found)), key=lambda place: found[place]["mae_min"])
    if found[best]["mae_min"] > (1 - MIN_GAIN) * found[0]["mae_min"]:
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
        "candidates": found,
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
