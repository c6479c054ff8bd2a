"""Metrics by exact numbers, intervals by their properties, and honest Nones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyops_assets.arrivals.evaluation import metrics
from skyops_assets.arrivals.evaluation.metrics import (
    NOT_MEASURED,
    compare,
    group_importance,
    measure,
)
from skyops_assets.arrivals.learning import fit
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic

ACTUAL = np.array([10.0, 12.0, 14.0, 20.0])


def _times(rows: int, every: str) -> pd.Series:
    return pd.Series(pd.date_range("2021-10-07T12:00Z", periods=rows, freq=every))


def test_exact_metrics() -> None:
    found = measure(ACTUAL, np.array([11.0, 10.0, 14.0, 24.0]))
    assert found.rows == 4
    assert found.mae_min == pytest.approx(7 / 4)
    assert found.rmse_min == pytest.approx((21 / 4) ** 0.5)
    assert found.bias_min == pytest.approx(3 / 4)
    assert found.r2 == pytest.approx(1 - 21 / 56)
    assert found.p90_min == pytest.approx(3.4)


def test_a_perfect_prediction() -> None:
    found = measure(ACTUAL, ACTUAL)
    assert (found.mae_min, found.rmse_min, found.r2, found.bias_min) == (0, 0, 1, 0)


def test_what_cannot_be_computed_is_none() -> None:
    assert measure(np.empty(0), np.empty(0)) == NOT_MEASURED
    assert measure(np.array([5.0]), np.array([6.0])).r2 is None
    assert measure(np.array([0.1] * 3), np.array([0.1, 0.2, 0.3])).r2 is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_without_number_is_refused(value: float) -> None:
    with pytest.raises(SkyOpsError, match="1 of 4 predictions have no number"):
        measure(ACTUAL, np.array([1, 2, 3, value]))
    with pytest.raises(SkyOpsError, match="3 predictions for 4 arrivals"):
        measure(ACTUAL, ACTUAL[:3])


def test_exact_skill() -> None:
    found = compare(ACTUAL, ACTUAL + 1, ACTUAL - 4, _times(4, "1h"), "x")
    assert (found.skill, found.low, found.high) == (0.75, 0.75, 0.75)
    assert (found.blocks, found.block, found.days) == (4, "hour", 1)


def test_one_block_gives_no_interval_and_a_perfect_reference_no_skill() -> None:
    found = compare(ACTUAL, ACTUAL + 1, ACTUAL + 2, _times(4, "1min"), "x")
    assert (found.skill, found.low, found.high, found.blocks) == (0.5, None, None, 1)
    assert compare(ACTUAL, ACTUAL + 1, ACTUAL, _times(4, "1h"), "x").skill is None
    nothing = compare(np.empty(0), np.empty(0), np.empty(0), _times(0, "1h"), "x")
    assert (nothing.skill, nothing.low, nothing.rows, nothing.days) == (None, None, 0, 0)


def test_blocks_are_days_from_ten_days_on() -> None:
    zeros = np.zeros(240)
    ones = zeros + 1
    assert compare(zeros, ones, ones, _times(240, "1h"), "x").block == "day"
    # From noon on, 204 hours touch nine days.
    assert compare(zeros[:204], ones[:204], ones[:204], _times(204, "1h"), "x").block == "hour"


def test_the_interval_is_wider_over_blocks_than_over_flights() -> None:
    rng = np.random.default_rng(3)
    hours = np.repeat(np.arange(60), 20)
    shared = rng.normal(0, 2, 60)[hours]
    own = np.abs(shared + rng.normal(0, 0.5, 1200))
    theirs = np.abs(rng.normal(0, 2.2, 60)[hours] + rng.normal(0, 0.5, 1200))
    zero = np.zeros(1200)
    spread = _times(60, "1h").iloc[hours].reset_index(drop=True)
    blocks = compare(zero, own, theirs, spread, "x")
    flights = compare(zero, own, theirs, _times(1200, "1h")[:1200], "x")
    # 1200 hours are 50 days, so the second takes days; shuffled flights show the same.
    mixed = compare(zero, own, theirs, spread.sample(frac=1, random_state=1), "x")
    assert flights.block == "day"
    assert blocks.low is not None
    assert blocks.high is not None
    assert mixed.low is not None
    assert mixed.high is not None
    assert blocks.high - blocks.low > 1.5 * (mixed.high - mixed.low)


@given(shift=st.floats(0.1, 5), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_interval_holds_the_skill_and_does_not_depend_on_the_call(
    shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.normal(15, 4, 200)
    own, theirs = (actual + rng.normal(0, s, 200) for s in (shift, 2.0))
    first, second = (compare(actual, own, theirs, _times(200, "10min"), "x") for _ in range(2))
    assert first == second
    assert first.low is not None
    assert first.high is not None
    assert first.skill is not None
    assert first.low <= first.skill <= first.high


def test_the_reference_is_the_best_baseline_on_the_rows_all_can_answer() -> None:
    test = synthetic(50, hours=5)
    truth = test["transit_min"].to_numpy()
    half = np.where(np.arange(50) < 25, truth, np.nan)
    holes = np.where(np.arange(50) < 48, truth + 3, np.nan)
    found = metrics.evaluate(
        test, {"half": half, "holes": holes, "worse": truth + 4}, ("new", truth + 1)
    )
    assert found.reference == "holes"
    assert found.scored_rows == 48
    by_name = {score.candidate: score for score in found.scores}
    assert by_name["half"].metrics == NOT_MEASURED
    assert by_name["half"].predicted_rows == 25
    assert by_name["worse"].metrics.rows == by_name["new"].metrics.rows == 48
    against = by_name["new"].against_baseline
    assert against is not None
    assert against.skill == pytest.approx(2 / 3)


def test_the_champion_is_met_only_on_rows_it_has_not_learned_from() -> None:
    test = synthetic(50, hours=5)
    truth = test["transit_min"].to_numpy()
    through = test["crossed_at"].iloc[19].to_pydatetime()
    found = metrics.evaluate(
        test, {"b": truth + 4}, ("new", truth + 1), ("old", truth + 2), through
    )
    assert found.against_champion is not None
    assert found.against_champion.rows == 30
    assert found.against_champion.skill == pytest.approx(0.5)
    late = test["crossed_at"].max().to_pydatetime()
    found = metrics.evaluate(test, {"b": truth + 4}, ("new", truth), ("old", truth + 2), late)
    assert found.against_champion is not None
    assert (found.against_champion.rows, found.against_champion.skill) == (0, None)


def test_without_test_rows_or_answers_there_is_no_reference() -> None:
    none = metrics.evaluate(synthetic(0), {"b": np.empty(0)}, ("new", np.empty(0)))
    assert (none.reference, none.scored_rows) == (None, 0)
    silent = metrics.evaluate(synthetic(3), {"b": np.full(3, np.nan)})
    assert silent.reference is None


def test_importance_finds_what_carries_the_label_and_nothing_else() -> None:
    frame = synthetic(1500, hours=48, noise_min=0.3)
    model = fit.fit(frame[:1000])
    found = group_importance(lambda f: fit.predict(model, f), frame[1000:])
    assert next(iter(found)) == "entry bearing"
    assert found["altitude"] > 0.5
    assert found["congestion"] > 0.5
    assert abs(found["speed"]) < 0.1
    assert group_importance(lambda f: f["altitude_m"].to_numpy(), frame[:1]) == {}
