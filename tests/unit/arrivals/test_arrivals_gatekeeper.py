"""Every rule of the gatekeeper, green and red, and identical recipes kept out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyops_assets.arrivals.evaluation import metrics
from skyops_assets.arrivals.evaluation.sanity import SanityReport
from skyops_assets.arrivals.gate.evidence import Evidence, Probe, SliceGain
from skyops_assets.arrivals.gate.policy import LIGHTS, GatePolicy, decide, worse_slices
from skyops_assets.arrivals.learning import fit
from skyops_assets.arrivals.learning.recipes import GRADIENT_BOOSTING_L1
from skyops_assets.backtest import gate_calibration
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic

PROBE = Probe(None, 5.0, 110.0, 200, 0.1, 0.2, True)
LOGIC = SanityReport((), "congestion", {"a": -0.5, "b": 0.01, "c": None}, 0.0, -0.01)
SLICES = (SliceGain("LSZH N", 700, 0.03, 0.06), SliceGain("night", 90, -0.3, -0.1))

QUICK = GRADIENT_BOOSTING_L1.using({"max_iter": 40})

GOOD = Evidence(
    challenger_version="2",
    untrained_reason=None,
    train_rows=5000,
    scored_share=0.99,
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
    slices=SLICES,
    probe=PROBE,
    logic=LOGIC,
)
AGAINST_CHAMPION = replace(
    GOOD,
    has_champion=True,
    reference="arrival-transit-40nm:1",
    gain=0.03,
    gain_low=0.021,
    champion_age_days=29.0,
    newer_days=14.0,
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
    "chosen": {"chosen": "LFPG and LFPO"},
    "train_rows": {"train_rows": 199},
    "test_rows": {"scored_rows": 699},
    "test_days": {"test_days": 2},
    "scored_share": {"scored_share": 0.89},
    "reference": {"is_reference_current": False},
    "baseline": {"skill": 0.0},
    "gain_low": {"gain_low": 0.02},
    "gain": {"gain": 0.019},
    "slices": {"slices": (*SLICES, SliceGain("peak", 200, -0.051, -0.001))},
    "loads": {"probe": replace(PROBE, start_s=None, error="files are gone")},
    "memory": {"probe": replace(PROBE, peak_memory_mb=161.0)},
    "signature": {"probe": replace(PROBE, is_signature_equal=False)},
    "start": {"probe": replace(PROBE, start_s=60.1)},
    "prediction_time": {"probe": replace(PROBE, p95_ms=5.1)},
    "identifiers": {"logic": replace(LOGIC, identifiers=("icao24",))},
    "importance": {"logic": replace(LOGIC, leading_group="hour and weekday")},
    "directions": {"logic": replace(LOGIC, wrong_way_min={"a": 0.26, "b": -1.0})},
    "possible": {"logic": replace(LOGIC, impossible_share=0.001)},
    "shuffled_labels": {"logic": replace(LOGIC, shuffled_skill=0.11)},
}
TOGETHER = {"loads": {"start"}}
"""What cannot go red alone."""


@pytest.mark.parametrize("rule", RED)
def test_each_rule_goes_red_alone(rule: str) -> None:
    decision = decide(replace(AGAINST_CHAMPION, **RED[rule]))
    assert not decision.is_promoted
    assert {reason.rule for reason in decision.failed} == {rule} | TOGETHER.get(rule, set())
    red = {reason.light for reason in decision.failed}
    assert {light for light, is_green in decision.lights.items() if not is_green} == red
    assert decision.sentence.startswith("not promoted: ")


def test_what_could_not_be_computed_is_named_without_a_unit() -> None:
    nothing = replace(GOOD, probe=None, logic=None, slices=None, scored_share=None)
    texts = {reason.rule: reason.text for reason in decide(nothing).failed}
    assert texts["memory"] == "memory: could not be computed"
    assert texts["start"] == (
        "time from a new process to its first prediction: could not be computed"
    )
    assert texts["prediction_time"] == "time for one prediction: could not be computed"
    assert texts["directions"] == "changes in the wrong direction: could not be computed"
    assert texts["scored_share"].startswith("share of the test arrivals predicted")


def test_every_rule_has_its_red_test() -> None:
    assert {reason.rule for reason in decide(AGAINST_CHAMPION).reasons} == set(RED)


@pytest.mark.parametrize(
    "metric", ["scored_rows", "scored_share", "test_days", "gain", "gain_low", "skill"]
)
def test_a_metric_that_was_not_computed_fails_and_is_not_filled(metric: str) -> None:
    decision = decide(replace(AGAINST_CHAMPION, **{metric: None}))
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
        scored_share=1.0,
        test_days=days,
    )
    expected = gain >= 0.02 and low > 0.02 and rows >= 700 and days >= 3
    assert decide(evidence).is_promoted == expected


def test_nothing_measured_is_four_red_lights_and_no_number() -> None:
    decision = decide(replace(GOOD, probe=None, logic=None, slices=None, gain=None))
    assert decision.lights == dict.fromkeys(LIGHTS, False)
    assert all(reason.value is None for reason in decision.failed)


def test_a_slow_prediction_is_said_before_it_is_refused() -> None:
    decision = decide(replace(GOOD, probe=replace(PROBE, p95_ms=1.5)))
    assert decision.is_promoted
    assert any("above the target of 1 ms" in reason.text for reason in decision.reasons)


@pytest.mark.parametrize(
    ("rows", "gain", "high", "is_worse"),
    [
        (200, -0.06, -0.01, True),
        (199, -0.06, -0.01, False),  # Too few to say.
        (200, -0.05, -0.01, False),
        (200, -0.06, 0.0, False),  # By chance, perhaps.
        (200, None, None, False),
    ],
)
def test_a_slice_is_worse_only_beyond_doubt(
    rows: int, gain: float | None, high: float | None, is_worse: bool
) -> None:
    part = SliceGain("x", rows, gain, high)
    assert bool(worse_slices((part,), GatePolicy())) == is_worse


@pytest.mark.parametrize(("low", "is_promoted"), [(-0.009, True), (-0.01, False), (None, False)])
def test_an_old_champion_is_renewed_by_one_as_good(low: float | None, is_promoted: bool) -> None:
    equal = replace(AGAINST_CHAMPION, gain=0.0, gain_low=low)
    assert not decide(equal).is_promoted
    decision = decide(replace(equal, champion_age_days=30.0))
    assert decision.is_promoted == is_promoted
    assert "renewal" in {reason.rule for reason in decision.reasons}


def test_an_old_champion_stays_where_the_challenger_hardly_knows_more() -> None:
    old = replace(AGAINST_CHAMPION, gain=0.0, gain_low=-0.009, champion_age_days=200.0)
    assert decide(old).is_promoted
    assert not decide(replace(old, newer_days=13.9)).is_promoted
    assert not decide(replace(old, newer_days=None)).is_promoted


def test_equal_challengers_stay_out_and_better_ones_get_in() -> None:
    """`skyops gate calibrate`, small: two synthetic months, four fits of a kind."""
    frame = synthetic(3600, hours=24 * 45, noise_min=2.0)
    lines = gate_calibration.calibrate(
        frame, policy=GatePolicy(min_test_rows=400), recipe=QUICK, draws=4, only="2021-11"
    )
    share = {line.what: line for line in lines if line.kind == gate_calibration.KINDS[0]}
    assert share["as good, weeks"].promoted == 0
    assert share["5 % better, 2,000 arrivals"].share == 1
    # The same questions with a policy that takes what is better by anything: half get in.
    naive = GatePolicy(min_test_rows=400, min_gain=-1, min_skill_low=-1)
    lines = gate_calibration.calibrate(frame, policy=naive, recipe=QUICK, draws=4, only="2021-11")
    assert not all(line.is_held for line in lines)


def test_without_a_month_there_is_nothing_to_calibrate_on() -> None:
    with pytest.raises(SkyOpsError, match="no calendar month with 14 days"):
        gate_calibration.calibrate(synthetic(500))


def test_identical_recipes_are_not_promoted() -> None:
    """A/A: the same recipe on 95 % of one past, drawn six times, each against each other."""
    frame = synthetic(1500, hours=96, noise_min=2.0)
    past, test = frame[:600], frame[600:]
    rng = np.random.default_rng(0)
    minutes = [
        fit.predict(fit.fit(past.iloc[np.sort(rng.choice(600, 570, replace=False))]), test)
        for _ in range(6)
    ]
    truth = test["transit_min"].to_numpy()
    better = promoted = 0
    for one, other in itertools.permutations(minutes, 2):
        found = metrics.compare(truth, one, other, test["crossed_at"], "champion")
        evidence = replace(
            AGAINST_CHAMPION, gain=found.skill, gain_low=found.low, test_days=found.days
        )
        better += (found.skill or 0) > 0
        promoted += decide(evidence).is_promoted
    assert better == 15  # "Promote if better" promotes every second one.
    assert promoted <= 1


def test_the_policy_is_frozen() -> None:
    with pytest.raises(AttributeError):
        GatePolicy().min_gain = 0.0
