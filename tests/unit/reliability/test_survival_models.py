"""Kaplan-Meier and Weibull with censoring, against scipy, hand computations and simulations."""

from __future__ import annotations

import numpy as np
import pytest

from skyops_assets.reliability.survival import (
    Fit,
    can_be_fitted,
    fit_weibull,
    kaplan_meier,
    likeliest,
)


def censored(
    rng: np.random.Generator, lives: int, shape: float, scale: float, start: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Ages of which about a quarter are not failures."""
    age = start + scale * rng.weibull(shape, lives)
    end = start + scale * rng.uniform(0.3, 2.5, lives)
    return np.minimum(age, end), age <= end


def test_kaplan_meier_is_the_product_of_the_shares_that_went_on() -> None:
    ages = np.array([3.0, 5, 5, 6, 8, 9])
    failed = np.array([True, True, False, True, False, True])
    curve = kaplan_meier(ages, failed)
    assert curve.ages.tolist() == [3, 5, 6, 9]
    assert curve.survival == pytest.approx([5 / 6, 5 / 6 * 4 / 5, 5 / 6 * 4 / 5 * 2 / 3, 0])
    assert (curve.low <= curve.survival).all() and (curve.survival <= curve.high).all()
    assert curve.first_below(curve.survival, 0.8) == 5
    assert curve.high_at(3) == 1
    assert curve.high_at(4) == curve.high[0]


def test_the_likeliest_weibull_is_the_one_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(3)
    for shape in (0.7, 1.0, 2.5, 6.0):
        ages, failed = censored(rng, 80, shape, 1200)
        found = likeliest(ages, failed)
        data = stats.CensoredData(uncensored=ages[failed], right=ages[~failed])
        theirs = stats.weibull_min.fit(data, floc=0)
        assert (found.shape, found.scale) == pytest.approx((theirs[0], theirs[2]), rel=1e-3)


@pytest.mark.parametrize("shape", [0.8, 1.5, 3.0])
def test_a_weibull_is_recovered_from_censored_lives(shape: float) -> None:
    rng = np.random.default_rng(int(10 * shape))
    ages, failed = censored(rng, 1500, shape, 1000)
    assert 0.5 < failed.mean() < 0.9
    found = fit_weibull(ages, failed, 0.95)
    assert found.plain.shape == pytest.approx(shape, rel=0.1)
    assert found.plain.scale == pytest.approx(1000, rel=0.1)
    assert found.shape[0] < shape < found.shape[1]
    assert found.scale[0] < 1000 < found.scale[1]
    assert found.bounds[0] < found.interval < found.bounds[1]


def test_survivors_that_are_left_out_make_lives_too_short() -> None:
    """What censoring is for: the same lives without those that still run."""
    ages, failed = censored(np.random.default_rng(5), 400, 2.0, 1000)
    assert likeliest(ages[failed], failed[failed]).scale < 900
    assert likeliest(ages, failed).scale == pytest.approx(1000, rel=0.08)


def test_bounds_cover_the_interval_as_often_as_they_say() -> None:
    """At 50 lives, about 37 of them failures. They say 95 %; 90 % is what the docs promise."""
    rng = np.random.default_rng(7)
    true = 1000 * (-np.log(0.95)) ** (1 / 2.5)

    def is_covered(found: Fit) -> bool:
        return found.bounds[0] <= true <= found.bounds[1]

    hits = [is_covered(fit_weibull(*censored(rng, 50, 2.5, 1000), 0.95)) for _ in range(150)]
    assert np.mean(hits) >= 0.9


def test_a_failure_free_life_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(8)
    starts = [
        fit_weibull(*censored(rng, 100, 2.0, 80, start), 0.95, resamples=1).chosen.start
        for start in [120] * 20 + [0] * 20
    ]
    assert np.median(starts[:20]) == pytest.approx(120, abs=10)
    assert sum(start > 0 for start in starts[20:]) <= 4


def test_the_same_lives_in_another_order_give_the_same_model() -> None:
    ages, failed = censored(np.random.default_rng(9), 60, 2.0, 500)
    first, again = (fit_weibull(ages, failed, 0.95) for _ in range(2))
    assert first == again
    turned = fit_weibull(ages[::-1], failed[::-1], 0.95)
    assert turned.interval == pytest.approx(first.interval, rel=1e-9)


def test_one_age_is_no_distribution() -> None:
    assert not can_be_fitted(np.array([5.0, 5, 9]), np.array([True, True, False]))
    assert can_be_fitted(np.array([5.0, 6, 9]), np.array([True, True, False]))
