"""Every recipe gives the same model from the same rows, bears odd rows, and goes to ONNX."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from skyops_assets.arrivals.features import LABEL, NUMERIC
from skyops_assets.arrivals.learning import fit, onnx_model, recipes
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic, with_gaps

EACH = pytest.mark.parametrize("name", list(recipes.RECIPES))


def small(name: str) -> recipes.Recipe:
    """The recipe with fewer trees: what is tested here needs no accuracy."""
    recipe = recipes.named(name)
    fewer = {"n_estimators": 15, "max_iter": 60}
    return recipe.using({key: fewer[key] for key in fewer if key in recipe.params})


@cache
def fitted(name: str) -> object:
    return fit.fit(with_gaps(synthetic(600, hours=24), 0.1), small(name))


@EACH
def test_the_same_rows_give_the_same_bits(name: str) -> None:
    again = fit.fit(with_gaps(synthetic(600, hours=24), 0.1), small(name))
    asked = synthetic(50, seed=8)
    for ask in (fit.predict, fit.predict_interval):
        assert np.array_equal(ask(fitted(name), asked), ask(again, asked))
    assert onnx_model.export(fitted(name)) == onnx_model.export(again)


@EACH
def test_it_learns_what_is_there(name: str) -> None:
    frame = synthetic(1500, hours=48, noise_min=0.5)
    rows, then = frame[:1000], frame[1000:]
    error = np.abs(fit.predict(fit.fit(rows, small(name)), then) - then[LABEL])
    assert error.mean() < 0.6 * np.abs(rows[LABEL].median() - then[LABEL]).mean()


@EACH
def test_odd_rows_get_an_answer(name: str) -> None:
    frame = synthetic(60).assign(altitude_m=np.nan, sector=None)
    model = fit.fit(frame, small(name))
    asked = synthetic(20, seed=9).assign(airport="EGLL")
    nothing = asked.assign(**dict.fromkeys(NUMERIC, np.nan), sector=None, wake=None)
    wild = asked.assign(**dict.fromkeys(NUMERIC, 1e12))
    for rows in (asked, nothing, wild):
        minutes = fit.predict(model, rows)
        assert ((minutes > 0) & (minutes < 120)).all()


@EACH
def test_onnx_agrees(name: str) -> None:
    """Also where training met no missing value and prediction does."""
    asked = synthetic(1000, hours=48, seed=11)
    complete = fit.fit(synthetic(300), small(name))
    for model in (fitted(name), complete):
        graph = onnx_model.export(model)
        assert onnx_model.difference(graph, model, asked) < onnx_model.TOLERANCE_MIN
        wild = asked.assign(**dict.fromkeys(NUMERIC, -1e12))
        assert onnx_model.difference(graph, model, wild) < onnx_model.TOLERANCE_MIN


@EACH
def test_with_fewer_rows_than_it_needs_it_is_refused(name: str) -> None:
    recipe = recipes.named(name)
    least = recipe.min_fit_rows
    assert np.isfinite(fit.predict(fit.fit(synthetic(least), small(name)), synthetic(5))).all()
    with pytest.raises(SkyOpsError, match=f"{name} cannot be fitted on {least - 1} rows"):
        fit.fit(synthetic(least - 1), recipe)


@pytest.mark.parametrize("speed", ["ground_speed_mps", "near_leg_mps"])
def test_faster_is_never_later(speed: str) -> None:
    """Even where training says the opposite, and beside other categories' columns."""
    frame = synthetic(600, hours=24).assign(near_leg_mps=150.0)
    rng = np.random.default_rng(4)
    frame[speed] = rng.normal(150, 12, len(frame))
    frame[LABEL] = frame[LABEL] + 0.2 * (frame[speed] - 150)
    answers = {}
    for name, recipe in (
        ("bound", small("hgb-l1")),
        ("free", small("hgb-l1").using({"monotone": {}})),
    ):
        model = fit.fit(frame, recipe)
        steps = [
            fit.predict(model, frame[:50].assign(**{speed: v})) for v in np.linspace(110, 190, 17)
        ]
        answers[name] = np.diff(steps, axis=0)
    assert (answers["bound"] <= 0).all()
    assert (answers["free"] > 0).any()


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(SkyOpsError, match="no recipe 'lasso'; SKYOPS_RECIPE is one of hgb-l1, ri"):
        recipes.named("lasso")


@EACH
def test_candidates_are_parameters_that_it_has(name: str) -> None:
    recipe = recipes.named(name)
    rows = synthetic(60)
    for params in recipe.candidates:
        assert recipe.using(params).params != recipe.params
        fit.fit(rows, small(name).using(params))
