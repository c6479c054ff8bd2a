"""When an interval is recommended, and when it is refused: rules, and the trial forward in time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import gate
from skyops_assets.reliability.interval import Estimate, estimate, known_by
from skyops_assets.reliability.lives import Component, Life
from tests.support.components import FIRST_DAY, renewals

POLICY = ReliabilityPolicy()


def judged(component: Component) -> tuple[Estimate, gate.Decision]:
    found = estimate(component, POLICY)
    return found, gate.judge_interval(found, POLICY)


def failed_rules(decision: gate.Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons if not reason.is_passed]


def wearing(seed: int, shape: float = 3.0) -> Component:
    rng = np.random.default_rng(seed)
    return renewals(lambda: 1500 * rng.weibull(shape))


def test_a_part_that_wears_out_gets_an_interval_that_held_forward_in_time() -> None:
    found, decision = judged(wearing(1))
    assert decision.is_recommended, decision.sentence
    assert found.fit and found.trial
    true = 1500 * (-np.log(0.95)) ** (1 / 3)
    assert found.fit.bounds[0] < true < found.fit.bounds[1]
    assert found.fit.interval == pytest.approx(true, rel=0.2)
    assert found.trial.how.startswith("Fitted on what was known on 20")
    assert found.trial.lives > 30
    assert "failed before the interval" in decision.sentence


def test_below_ten_failures_there_is_not_enough_and_nothing_is_fitted() -> None:
    few = Component("part", "P1", "hours", [Life(100.0 + i, True) for i in range(9)])
    assert estimate(few, POLICY).fit is None
    decision = gate.not_enough(few.failures, POLICY)
    assert decision.sentence == "not recommended: not enough: 9 failures (10 are needed)"
    # Not even by a policy.
    with pytest.raises(ValueError, match="min_failures"):
        ReliabilityPolicy(min_failures=9)


def test_ten_failures_can_be_fitted_but_not_tried() -> None:
    part = wearing(2)
    ended = sorted(life.ended_on for life in part.lives if life.is_failure and life.ended_on)
    part.lives = known_by(part.lives, ended[9])
    found, decision = judged(part)
    assert part.failures == 10
    assert found.fit
    assert failed_rules(decision)[-1] == "tried"
    assert "it could not be tested: there are 10 failures of known date" in decision.sentence


def test_what_fails_by_chance_is_seldom_given_an_interval() -> None:
    """A newer one would fail as often. The bound's other side is 2.5 %."""
    decisions = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        part = renewals(lambda rng=rng: rng.exponential(1500))
        decisions.append(judged(part)[1])
    assert sum(one.is_recommended for one in decisions) <= 1
    assert "there is no evidence of wear-out" in decisions[0].sentence


def test_where_only_failures_are_known_nothing_is_recommended() -> None:
    part = wearing(3)
    part.lives = [life for life in part.lives if life.is_failure]
    part.has_survivors = False
    decision = judged(part)[1]
    assert failed_rules(decision) == ["survivors"]
    assert "only failures are known" in decision.sentence


def test_an_interval_that_later_lives_did_not_hold_is_refused() -> None:
    """From the third year on another supplier's parts live half as long."""
    rng = np.random.default_rng(4)
    part = wearing(4)
    third = FIRST_DAY + timedelta(days=1000)
    later = [life for life in part.lives if life.ended_on and life.ended_on > third]
    part.lives = [life for life in part.lives if life not in later]
    part.lives += [
        Life(life.age * 0.45, rng.random() < 0.9, life.started_on, life.ended_on) for life in later
    ]
    decision = judged(part)[1]
    assert "held" in failed_rules(decision)
    assert "as many or more by chance" in decision.sentence


def test_sound_intervals_are_seldom_refused_by_the_trial() -> None:
    refused = [failed_rules(judged(wearing(seed))[1]) for seed in range(100, 120)]
    assert sum("held" in rules for rules in refused) <= 2
    assert sum(bool(rules) for rules in refused) <= 4


def test_a_fit_knows_nothing_of_later() -> None:
    day = FIRST_DAY + timedelta(days=100)
    known = known_by(
        [
            Life(50, True, FIRST_DAY, FIRST_DAY + timedelta(days=50)),
            Life(400, True, FIRST_DAY, FIRST_DAY + timedelta(days=200)),
            Life(70, True, day, day + timedelta(days=20)),
            # Nobody knows since when: it is not known to have run before it ended.
            Life(70, True, None, day + timedelta(days=20)),
        ],
        day,
    )
    assert [(life.age, life.is_failure) for life in known] == [(50, True), (200, False)]


def test_a_chapter_is_told_but_gets_no_interval() -> None:
    pool = wearing(5)
    pool.scope = "chapter"
    found, decision = judged(pool)
    assert found.fit
    assert failed_rules(decision) == ["part"]


def test_failures_at_one_age_give_no_distribution() -> None:
    same = Component("part", "P1", "hours", [Life(100, True)] * 12, has_survivors=True)
    found, decision = judged(same)
    assert found.fit is None
    assert failed_rules(decision) == ["fit"]
