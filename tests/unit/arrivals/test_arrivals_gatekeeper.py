"""Every rule of the gatekeeper, green and red, and identical recipes kept out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from arrival_frames import synthetic
from hypothesis import given
from hypothesis import strategies as st

from skyops_assets.arrivals import evaluate, train
from skyops_assets.arrivals.gatekeeper import Evidence, GatePolicy, decide

GOOD = Evidence(
    challenger_version="2",
    untrained_reason=None,
    train_rows=5000,
    test_rows=1000,
    scored_rows=990,
    test_days=7,
    reference="baseline:sector_median",
    reference_mae_min=3.1,
    challenger_mae_min=2.0,
    gain=0.35,
    gain_low=0.3,
    skill=0.35,
    has_champion=False,
    is_reference_current=True,
)
AGAINST_CHAMPION = replace(
    GOOD, has_champion=True, reference="arrival-transit-40nm:1", gain=0.03, gain_low=0.001
)


@pytest.mark.parametrize("evidence", [GOOD, AGAINST_CHAMPION])
def test_good_evidence_promotes(evidence: Evidence) -> None:
    decision = decide(evidence)
    assert decision.is_promoted
    assert decision.failed == ()
    assert decision.sentence.startswith("promoted: ")


RED = {
    "trained": {"challenger_version": None, "untrained_reason": "3 arrivals"},
    "taken_back": {"taken_back": "me, 2026-11-21 08:00 UTC: worse"},
    "train_rows": {"train_rows": 199},
    "test_rows": {"scored_rows": 699, "test_rows": 699},
    "test_days": {"test_days": 2},
    "scored_share": {"scored_rows": 890},
    "reference": {"is_reference_current": False},
    "baseline": {"skill": 0.0},
    "gain_low": {"gain_low": 0.0},
    "gain": {"gain": 0.019},
}


@pytest.mark.parametrize("rule", RED)
def test_each_rule_goes_red_alone(rule: str) -> None:
    decision = decide(replace(AGAINST_CHAMPION, **RED[rule]))  # type: ignore[arg-type]
    assert not decision.is_promoted
    assert [reason.rule for reason in decision.failed] == [rule]
    assert decision.sentence.startswith("not promoted: ")


def test_every_rule_has_its_red_test() -> None:
    assert {reason.rule for reason in decide(AGAINST_CHAMPION).reasons} == set(RED)


@pytest.mark.parametrize("metric", ["scored_rows", "test_days", "gain", "gain_low", "skill"])
def test_a_metric_that_was_not_computed_fails_and_is_not_filled(metric: str) -> None:
    decision = decide(replace(AGAINST_CHAMPION, **{metric: None}))  # type: ignore[arg-type]
    assert not decision.is_promoted
    assert any(reason.value is None and "could not" in reason.text for reason in decision.failed)


def test_nothing_known_at_all_is_a_clean_no() -> None:
    nothing = Evidence(
        None, "0 arrivals", 0, 0, None, None, None, None, None, None, None, None, False, False
    )
    decision = decide(nothing)
    assert not decision.is_promoted
    assert all(set(reason) >= {"rule", "is_passed", "text"} for reason in decision.as_json())


@given(
    gain=st.floats(-1, 1),
    low=st.floats(-1, 1),
    rows=st.integers(0, 1500),
    days=st.integers(0, 9),
)
def test_promoted_exactly_where_all_thresholds_hold(
    gain: float, low: float, rows: int, days: int
) -> None:
    evidence = replace(
        GOOD,
        gain=gain,
        gain_low=low,
        train_rows=rows,
        scored_rows=rows,
        test_rows=rows,
        test_days=days,
    )
    expected = gain >= 0.02 and low > 0 and rows >= 700 and days >= 3
    assert decide(evidence).is_promoted == expected


def test_identical_recipes_are_not_promoted() -> None:
    """A/A: the same recipe on 95 % of one past, drawn six times, each against each other."""
    frame = synthetic(1500, hours=96, noise_min=2.0)
    past, test = frame[:600], frame[600:]
    rng = np.random.default_rng(0)
    minutes = [
        train.predict(train.fit(past.iloc[np.sort(rng.choice(600, 570, replace=False))]), test)
        for _ in range(6)
    ]
    truth = test["transit_min"].to_numpy()
    better = promoted = 0
    for one, other in itertools.permutations(minutes, 2):
        found = evaluate.compare(truth, one, other, test["crossed_at"], "champion")
        evidence = replace(
            AGAINST_CHAMPION, gain=found.skill, gain_low=found.low, test_days=found.days
        )
        better += (found.skill or 0) > 0
        promoted += decide(evidence).is_promoted
    assert better == 15  # "Promote if better" promotes every second one.
    assert promoted <= 1


def test_the_policy_is_frozen() -> None:
    with pytest.raises(AttributeError):
        GatePolicy().min_gain = 0.0  # type: ignore[misc]
