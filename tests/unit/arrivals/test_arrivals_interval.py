"""The interval covers what it promises, holds the answer, and is absent where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from skyops_assets.arrivals.features import LABEL
from skyops_assets.arrivals.learning import fit, interval, recipes, split
from tests.support.arrival_frames import synthetic


@pytest.mark.parametrize("noise_min", [0.5, 2.0])
def test_it_covers_ninety_percent_and_follows_the_noise(noise_min: float) -> None:
    frame = synthetic(4000, hours=96, noise_min=noise_min)
    then = frame[3000:]
    low, high = fit.predict_interval(fit.fit(frame[:3000]), then) or ((), ())
    share = then[LABEL].between(low, high).mean()
    # 1,000 rows: 95 % of such shares lie within 0.02, and calibration on 600 adds as much.
    assert 0.86 < share < 0.94
    # 3.29 standard deviations hold 90 % of a normal noise.
    assert 3.0 * noise_min < np.mean(high - low) < 5.0 * noise_min + 1.5


def test_the_correction_is_the_conformal_rank_of_the_last_part() -> None:
    frame = synthetic(300, hours=12)
    model = fit.fit(frame)
    made = model.interval_
    last = split.temporal_split(frame, interval.LEARNING_SHARE).test
    given = model.named_steps["columns"].transform(last)
    beyond = np.maximum(
        made["low"].predict(given) - last[LABEL], last[LABEL] - made["high"].predict(given)
    )
    # 60 calibration rows: the 55th of 60 is the smallest that covers 90 % of 61.
    assert len(last) == made["calibration_rows"] == 60
    assert made["correction_min"] == np.sort(beyond)[54]
    assert interval.record(made) == {
        "coverage": 0.9,
        "correction_min": made["correction_min"],
        "learning_rows": made["learning_rows"],
        "calibration_rows": 60,
    }


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_the_answer_always_lies_within(name: str) -> None:
    frame = synthetic(400, hours=12)
    model = fit.fit(frame, recipes.named(name))
    odd = synthetic(300, hours=12, seed=5)
    odd = odd.assign(altitude_m=odd["altitude_m"] * 3, inbound_inside_count=np.nan, sector="?")
    # Quantiles that cross, or lie beside the answer, are put right.
    for correction in (model.interval_["correction_min"], -50.0, 50.0):
        model.interval_["correction_min"] = correction
        for rows in (frame, odd):
            low, high = fit.predict_interval(model, rows) or ((), ())
            minutes = fit.predict(model, rows)
            assert (low > 0).all()
            assert (low <= minutes).all()
            assert (minutes <= high).all()


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_what_is_known_only_of_late_is_no_obstacle(name: str) -> None:
    """As where one's own positions begin after months of the open history."""
    frame = synthetic(400, hours=12)
    late = frame["ground_speed_mps"].where(frame.index > 350)
    model = fit.fit(frame.assign(ground_speed_mps=late), recipes.named(name))
    assert model.interval_["learning_rows"] < 350
    assert np.isfinite(fit.predict_interval(model, frame)).all()


def test_too_few_rows_have_no_interval() -> None:
    model = fit.fit(synthetic(40))
    assert model.interval_ is None
    assert fit.predict_interval(model, synthetic(5)) is None
    assert interval.record(None) is None
    assert fit.fit(synthetic(60)).interval_ is not None


def test_a_model_from_before_intervals_has_none() -> None:
    model = fit.fit(synthetic(100))
    del model.interval_
    assert fit.predict_interval(model, synthetic(5)) is None
    assert np.isfinite(fit.predict(model, synthetic(5))).all()


def test_no_rows_no_bounds() -> None:
    low, high = fit.predict_interval(fit.fit(synthetic(100)), synthetic(0)) or ((), ())
    assert len(low) == len(high) == 0
