"""Models of sensor readings, on simulated pumps and on NASA's engines (FD001)."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import gate, readings
from skyops_assets.reliability.interval import estimate, ranks
from skyops_assets.reliability.models import BOOSTING, FOREST, Aged, Band, remaining_model
from skyops_assets.reliability.outlook import Outlook, look
from skyops_assets.reliability.readings import Fleet, fleets
from skyops_assets.reliability.survival import fit_weibull
from skyops_assets.reliability.trials import AGE, FIXED, Score, split_units, try_remaining
from tests.support.components import FIRST_DAY, fd001, sensor_rows, sensor_table

POLICY = ReliabilityPolicy()
LONGEST = 147
"""The longest fixed interval at which at most 5 % of FD001's 100 engines fail before it."""


def fleet_of(rows: list[dict[str, Any]]) -> Fleet:
    (found,) = fleets(sensor_table(rows))
    return found


def score(found: Outlook, question: str, model: str) -> Score:
    return next(one for one in found.scores if (one.question, one.model) == (question, model))


def decided(found: Outlook) -> dict[tuple[str, str], gate.Decision]:
    return {(question, model): decision for question, model, decision, _ in found.decisions}


@pytest.fixture(scope="module")
def pumps() -> tuple[Fleet, Outlook]:
    fleet = fleet_of(sensor_rows(np.random.default_rng(0), units=40, running=6))
    return fleet, look(fleet, POLICY)


def test_readings_that_tell_wear_give_an_outlook_of_each_unit_that_runs(
    pumps: tuple[Fleet, Outlook],
) -> None:
    fleet, found = pumps
    assert all(one.is_recommended for one in decided(found).values())
    running = [one for one in found.prospects if one.why_null is None]
    assert len(running) == 6
    for one in running:
        assert one.remaining is not None and one.low is not None and one.high is not None
        assert 0 <= one.low <= one.high <= POLICY.longest_life_cycles
        assert one.probability is not None and 0 <= one.probability <= 1
    failed = next(one for one in found.prospects if one.unit == "U020")
    assert failed.why_null == f"it failed at cycle {fleet.latest['U020'].last}"
    assert len(found.prospects) == 40


def test_the_same_readings_in_another_order_give_the_same_outlook(
    pumps: tuple[Fleet, Outlook],
) -> None:
    rows = sensor_rows(np.random.default_rng(0), units=40, running=6)
    again = fleet_of(rows[::-1])
    assert again.fingerprint() == pumps[0].fingerprint()
    assert look(again, POLICY).prospects == pumps[1].prospects


def test_readings_that_say_nothing_recommend_nothing() -> None:
    rows = sensor_rows(np.random.default_rng(1), units=40, says=0.0, running=6)
    # The age is the same for all that fail: it is known, and nothing is left for readings to tell.
    found = look(fleet_of([row for row in rows if row["cycle"] <= 140]), POLICY)
    assert not any(one.is_recommended for one in decided(found).values())
    why = next(one for one in found.prospects if one.unit == "U000").why_null
    assert why and "not recommended" in why


def test_too_few_failed_units_are_not_enough() -> None:
    found = look(fleet_of(sensor_rows(np.random.default_rng(2), units=19)), POLICY)
    assert {one.sentence for one in decided(found).values()} == {
        "not recommended: not enough: 9 failed units in one half of the fleet (10 are needed)"
    }
    assert found.scores == []
    assert len(found.prospects) == 19


def test_units_that_cannot_be_used_say_why_and_stop_nobody() -> None:
    rows = sensor_rows(np.random.default_rng(3), units=4)
    for row in rows:
        row["is_failed"] &= row["unit"] != "U003"
        if row["unit"] == "U000" and row["cycle"] == 5:
            row["is_failed"] = True
        if row["unit"] == "U001" and row["cycle"] == 7:
            row["sensors"] = [1.0]
        if row["unit"] == "U002":
            row["sensors"], row["settings"] = [None, float("inf")], [float("nan")]
        if row["unit"] == "U003" and row["cycle"] == 9:
            row["sensors"] = [None, float("nan")]
    found = fleet_of(rows)
    assert [unit.name for unit in found.units] == ["U003"]
    why = {one.unit: one.why_null for one in look(found, POLICY).prospects}
    assert why["U000"] == "it has readings after its failure"
    assert why["U001"] == "not every reading has 1 settings and 2 sensors, as most have"
    assert why["U002"] == "none of its readings is a number"
    assert why["U003"] and "not enough" in why["U003"]


def test_missing_readings_of_some_cycles_do_not_stop_models() -> None:
    rng = np.random.default_rng(4)
    rows = sensor_rows(rng, units=30, running=2)
    for row in rows:
        if rng.random() < 0.1:
            row["sensors"] = [None, float("nan")]
    found = look(fleet_of(rows), POLICY)
    assert decided(found)[gate.REMAINING, BOOSTING].is_recommended


def test_nothing_to_read_is_no_fleet() -> None:
    assert fleets(sensor_table([])) == []


def test_where_days_are_known_models_learn_from_before_them() -> None:
    fleet = fleet_of(sensor_rows(np.random.default_rng(5), units=60, dated=True))
    split = split_units(fleet)
    cut = max(unit.days[-1] for unit in split.train if unit.days)
    assert split.how == f"by unit, and by time at {cut:%Y-%m-%d}"
    assert FIRST_DAY < cut < FIRST_DAY + timedelta(days=600)
    assert not {unit.name for unit in split.train} & {unit.name for unit in split.test}
    days = [day for unit in split.test for day in unit.days or ()]
    assert [day > cut for day in days] == split.tried.tolist()
    # A unit that failed later is not known to have failed.
    assert any(unit.is_running for unit in split.train)


def test_a_reading_s_features_know_nothing_of_later_ones() -> None:
    (unit, *_) = fleet_of(sensor_rows(np.random.default_rng(6), units=1)).units
    whole = readings.features([unit])
    early = replace(unit, cycles=unit.cycles[:50], values=unit.values[:50])
    assert np.array_equal(readings.features([early]), whole[:50])


def test_what_is_not_known_yet_has_no_label() -> None:
    ran, failed = fleet_of(
        [
            {**row, "is_failed": row["unit"] == "B" and row["cycle"] == 9}
            for unit in "AB"
            for row in sensor_rows(np.random.default_rng(7), units=1)[:9]
            for row in [{**row, "unit": unit}]
        ]
    ).units
    assert readings.remaining([failed], 4).tolist() == [4, 4, 4, 4, 4, 3, 2, 1, 0]
    assert np.isnan(readings.remaining([ran], 4)).tolist() == [False] * 5 + [True] * 4
    assert readings.fails_within([failed], 3).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    unknown = readings.fails_within([ran], 3)
    assert unknown[:6].tolist() == [0] * 6
    assert np.isnan(unknown[6:]).all()


def test_age_alone_says_what_the_survival_curve_says() -> None:
    units = fleet_of(sensor_rows(np.random.default_rng(8), units=30)).units
    lives = np.array([unit.last for unit in units])
    aged = Aged(units)
    at = np.array([0.0, 120.0, 500.0])
    left = np.minimum(lives[lives > 120] - 120, 50).mean()
    assert aged.remaining(at, 50) == pytest.approx([50, left, 0])
    share = (lives[lives > 120] <= 150).mean()
    assert aged.fails_within(at, 30) == pytest.approx([0, share, 1])


def test_halves_are_as_good_as_drawn_and_do_not_hang_on_the_order() -> None:
    names = [f"U{i}" for i in range(100)]
    first = {name for name, rank in zip(names, ranks(names), strict=True) if rank % 2 == 0}
    again = {name for name, r in zip(names[::-1], ranks(names[::-1]), strict=True) if r % 2 == 0}
    assert first == again
    assert len(first) == 50


# NASA's engines.


@pytest.fixture(scope="module")
def engines() -> Fleet:
    return fleet_of(fd001(Path(os.environ["SKYOPS_DATA_MIRROR"]), "train"))


@pytest.fixture(scope="module")
def tried(engines: Fleet) -> Outlook:
    return look(engines, POLICY)


@pytest.mark.mirror
def test_the_longest_fixed_interval_of_all_engines(engines: Fleet) -> None:
    """What the bars below are held against: independent of any model."""
    lives = sorted(unit.last for unit in engines.units)
    assert sum(life < LONGEST for life in lives) / 100 <= 0.05
    assert sum(life < LONGEST + 1 for life in lives) / 100 > 0.05
    assert LONGEST / np.median(lives) == pytest.approx(0.74, abs=0.005)


@pytest.mark.mirror
@pytest.mark.parametrize("is_first", [True, False])
def test_the_fixed_interval_of_one_half_holds_on_the_other(engines: Fleet, is_first: bool) -> None:
    """Engines 1 to 50, and 51 to 100."""
    known, others = (
        np.array([float(unit.last) for unit in engines.units if (int(unit.name) <= 50) is which])
        for which in (is_first, not is_first)
    )
    interval = fit_weibull(known, np.ones(50, bool), 0.95, resamples=1).interval
    assert interval == pytest.approx(LONGEST, rel=0.05)
    # 5 %, and the sampling error of 50 engines (95 %).
    assert (others < interval).mean() <= 0.05 + 1.96 * (0.05 * 0.95 / 50) ** 0.5


@pytest.mark.mirror
def test_the_fixed_interval_of_any_half(engines: Fleet) -> None:
    """Of 50 engines it is within 5 % in nearly nine of ten draws, and holds on the rest."""
    lives = np.array([unit.last for unit in engines.units], float)
    rng = np.random.default_rng(0)
    intervals, failed = [], []
    for _ in range(100):
        known, others = np.split(rng.permutation(lives), 2)
        found = fit_weibull(known, np.ones(50, bool), 0.95, resamples=1).interval
        intervals.append(found)
        failed.append((others < found).mean())
    assert np.median(intervals) == pytest.approx(LONGEST, rel=0.05)
    assert (np.abs(np.array(intervals) / LONGEST - 1) <= 0.05).mean() >= 0.8
    # 5 %, and the error of 100 draws.
    assert np.mean(failed) <= 0.06


@pytest.mark.mirror
def test_the_interval_of_all_engines_is_recommended(engines: Fleet) -> None:
    found = estimate(engines.lives(), POLICY)
    decision = gate.judge_interval(found, POLICY)
    assert decision.is_recommended, decision.sentence
    assert found.fit and found.fit.interval == pytest.approx(LONGEST, rel=0.05)
    assert found.fit.bounds[0] < LONGEST < found.fit.bounds[1]


@pytest.mark.mirror
def test_a_limit_from_readings_uses_more_of_life_than_the_interval(tried: Outlook) -> None:
    limit = score(tried, gate.LIMIT, BOOSTING)
    fixed = score(tried, gate.LIMIT, FIXED)
    assert limit.used_life_share and limit.used_life_share >= 0.8
    assert limit.failed_share is not None and limit.failed_share <= 0.05
    assert fixed.used_life_share and fixed.used_life_share < 0.82
    assert fixed.failed_share is not None and fixed.failed_share <= 0.11
    assert decided(tried)[gate.LIMIT, BOOSTING].is_recommended
    assert tried.limit is not None and 5 < tried.limit < 40


@pytest.mark.mirror
def test_remaining_life_is_told_better_than_by_age(tried: Outlook) -> None:
    model, naive = (score(tried, gate.REMAINING, name) for name in (BOOSTING, AGE))
    assert model.rmse and naive.rmse
    assert model.rmse <= 13
    assert naive.rmse >= 25
    assert model.coverage and 0.85 <= model.coverage <= 0.99
    assert model.skill_low and model.skill_low > 0.7
    assert decided(tried)[gate.REMAINING, BOOSTING].is_recommended


@pytest.mark.mirror
def test_remaining_life_of_the_official_test_engines(engines: Fleet, mirror: Path) -> None:
    """100 engines that nobody has seen fail; as published, and with long lives cut at 125."""
    others = sorted(fleet_of(fd001(mirror, "test")).units, key=lambda unit: int(unit.name))
    truth = np.loadtxt(mirror / "maintenance" / "cmapss-fd001" / "RUL_FD001.txt")
    last = np.cumsum([len(unit.cycles) for unit in others]) - 1
    found = remaining_model(engines.units, POLICY)(others)[last]
    naive = Aged(engines.units).remaining(np.array([u.last for u in others], float), 125)

    def rmse(guess: np.ndarray, true: np.ndarray) -> float:
        return float(np.sqrt(((guess - true) ** 2).mean()))

    cut = np.minimum(truth, 125)
    assert rmse(found, cut) <= 12
    assert rmse(naive, cut) >= 25
    assert rmse(found, truth) <= 13.5
    assert rmse(naive, truth) >= 25


@pytest.mark.mirror
def test_failures_within_30_cycles_are_told_better_than_by_age(tried: Outlook) -> None:
    naive = score(tried, gate.WITHIN, AGE)
    f1 = naive.shares()["f1"]
    assert f1 and f1 < 0.6
    for name in (BOOSTING, FOREST):
        one = score(tried, gate.WITHIN, name)
        shares = one.shares()
        assert one.confusion and sum(one.confusion) == one.test_rows
        for key in ("accuracy", "precision_share", "recall_share", "f1"):
            assert (shares[key] or 0) >= 0.8, (name, key, shares)
        assert one.skill_low and one.skill_low > 0.6
        assert decided(tried)[gate.WITHIN, name].is_recommended


def test_the_interval_of_a_prediction_is_what_became_of_similar_ones() -> None:
    predicted = np.repeat(np.arange(100.0), 10)
    truth = predicted + np.tile(np.arange(-4, 6), 100)
    low, high = Band(predicted, truth).around(np.array([50.0]))
    assert 25 < low[0] < 35 and 65 < high[0] < 75


@pytest.mark.mirror
def test_ten_other_halves(engines: Fleet, request: pytest.FixtureRequest) -> None:
    """The bars of one half are no luck of the draw."""
    if not request.config.getoption("--long"):
        pytest.skip("a minute; with --long")
    used: list[float] = []
    failed: list[float] = []
    errors: list[float] = []
    for draw in range(10):
        named = [replace(unit, name=f"{draw}-{unit.name}") for unit in engines.units]
        found = try_remaining(split_units(Fleet("FD001", named)), POLICY)
        limit = next(one for one in found if (one.question, one.model) == (gate.LIMIT, BOOSTING))
        used.append(limit.used_life_share or 0)
        failed.append(1 if limit.failed_share is None else limit.failed_share)
        errors.append(next(one.rmse or 99 for one in found if one.model == BOOSTING))
    assert min(used) >= 0.8
    assert np.mean(failed) <= 0.05
    assert max(errors) <= 15
