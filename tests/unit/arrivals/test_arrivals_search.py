"""The search looks forward only, says what it tried, and changes nothing for a trifle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.features import LABEL
from skyops_assets.arrivals.learning import fit, recipes, search
from tests.support.arrival_frames import synthetic

QUICK = recipes.RIDGE.using({"alpha": 1e6})
RIDGE = replace(QUICK, candidates=({"alpha": 1e5}, {"alpha": 1.0}, {"alpha": 2.0}))


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MIN_ROWS", 2000)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return synthetic(2400, hours=96)


def test_the_best_candidate_is_chosen_and_told(rows: pd.DataFrame) -> None:
    chosen, found = fit.choose(rows, RIDGE, 2)
    assert chosen.params["alpha"] == 1.0
    assert found["chosen"] == 2
    assert [tried["params"] for tried in found["candidates"]] == [{}, *RIDGE.candidates[:2]]
    assert [len(tried["fold_mae_min"]) for tried in found["candidates"]] == [3, 3, 3]
    assert found["candidates"][2]["mae_min"] < 0.9 * found["candidates"][0]["mae_min"]
    assert fit.choose(rows, RIDGE, 2) == (chosen, found)


def test_a_trifle_changes_nothing(rows: pd.DataFrame) -> None:
    good = replace(RIDGE.using({"alpha": 1.0}), candidates=({"alpha": 0.999}, {"alpha": 1.001}))
    chosen, found = fit.choose(rows, good, 2)
    assert chosen == good
    assert found["chosen"] == 0
    least = min(tried["mae_min"] for tried in found["candidates"])
    assert least < found["candidates"][0]["mae_min"]


def test_folds_expand_and_look_forward(rows: pd.DataFrame) -> None:
    folds = search._folds(rows)
    for fold in folds:
        assert fold.train["landed_at"].max() < fold.cut_at <= fold.test["crossed_at"].min()
        assert not set(fold.train["flight_id"]) & set(fold.test["flight_id"])
    sizes = [len(fold.train) for fold in folds]
    assert sizes == sorted(sizes)
    judged = pd.concat([fold.test for fold in folds])["flight_id"]
    assert judged.is_unique
    assert len(judged) == 1200


def test_the_future_of_the_training_window_changes_no_earlier_fold(rows: pd.DataFrame) -> None:
    _, before = fit.choose(rows, RIDGE, 1)
    later = rows["crossed_at"] >= search._folds(rows)[2].cut_at
    spoiled = rows.assign(**{LABEL: rows[LABEL].mask(later, 80.0)})
    _, after = fit.choose(spoiled, RIDGE, 1)
    for one, other in zip(before["candidates"], after["candidates"], strict=True):
        assert one["fold_mae_min"][:2] == other["fold_mae_min"][:2]
        assert one["fold_mae_min"][2] != other["fold_mae_min"][2]


@pytest.mark.parametrize(
    ("count", "trials", "why"),
    [
        (1999, 2, "1999 training arrivals are too few for folds (needs 2000)"),
        (2000, 0, "no candidates were asked for"),
    ],
)
def test_without_rows_or_trials_the_recipe_stays(
    rows: pd.DataFrame, count: int, trials: int, why: str
) -> None:
    chosen, found = fit.choose(rows[:count], RIDGE, trials)
    assert chosen == RIDGE
    assert found == {"skipped": why, "folds": [], "candidates": [], "chosen": None}
    assert np.isfinite(fit.predict(fit.fit(rows[:count], chosen), rows[:5])).all()
