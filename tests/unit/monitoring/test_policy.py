"""When to retrain: each trigger, what holds it back, and words for both."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from skyops_assets.monitoring import policy
from skyops_assets.monitoring.policy import TRIGGERS, MonitorState, RetrainPolicy, decide

AT = datetime(2019, 5, 20, tzinfo=UTC)
CALM = MonitorState(
    at=AT,
    has_champion=True,
    skill=0.4,
    earlier_skill=0.4,
    promoted_skill=0.4,
    r2=0.55,
    rmse_min=2.7,
    drift_score=0.0,
    trained_through_at=AT - timedelta(days=8),
    new_arrivals=2400,
)

BY_DRIFT = RetrainPolicy(drift_alone=True)
ASKING: dict[str, dict[str, Any]] = {
    policy.SKILL: {"skill": 0.2, "earlier_skill": 0.23},
    policy.ERROR: {"r2": 0.2, "drift_score": 1 / 6},
    policy.DRIFT: {"drift_score": 1 / 6},
    policy.AGE: {"trained_through_at": AT - timedelta(days=31)},
    policy.ARRIVALS: {"new_arrivals": 5000},
    policy.SCHEDULE: {"request": policy.SCHEDULE},
    policy.BUTTON: {"request": policy.BUTTON},
}


def rules(trigger: str) -> RetrainPolicy | None:
    """Drift alone asks only where a person wants it to."""
    return BY_DRIFT if trigger == policy.DRIFT else None


def test_in_calm_weather_nothing_asks() -> None:
    found = decide(CALM)
    assert not found.should_retrain
    assert found.trigger is None
    assert found.sentence == "no retraining: no trigger applies"
    assert len(found.reasons) == len(TRIGGERS) + 2


def test_a_value_that_was_not_measured_has_no_unit() -> None:
    [error] = [r for r in decide(replace(CALM, rmse_min=None)).reasons if r.rule == policy.ERROR]
    assert "RMSE not measured (at most" in error.text


def test_every_trigger_has_its_test() -> None:
    assert set(ASKING) == set(TRIGGERS)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_each_trigger_asks_alone(trigger: str) -> None:
    found = decide(replace(CALM, **ASKING[trigger]), rules(trigger))
    assert found.should_retrain
    assert found.trigger == trigger
    assert found.sentence.startswith("retrain: ")
    assert [r.rule for r in found.reasons if r.holds] == [trigger]


@pytest.mark.parametrize(
    "changes",
    [
        {"skill": 0.2},
        {"skill": 0.2, "earlier_skill": None},
        {"skill": None, "earlier_skill": 0.2},
        {"skill": 0.345, "earlier_skill": 0.345},
        {"r2": 0.2},
        {"drift_score": 1.0},
        {"r2": 0.2, "drift_score": None},
        {"r2": 0.2, "drift_score": 0.15},
        {"r2": None, "rmse_min": None, "drift_score": 1.0},
        {"new_arrivals": 4999},
        {"trained_through_at": None},
        {"trained_through_at": AT - timedelta(days=30)},
    ],
)
def test_half_a_reason_is_none(changes: dict[str, Any]) -> None:
    assert not decide(replace(CALM, **changes)).should_retrain


def test_the_error_in_minutes_asks_as_r2_does() -> None:
    state = replace(CALM, rmse_min=6.1, drift_score=0.2)
    assert decide(state).trigger == policy.ERROR


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_unsound_data_never_retrain(trigger: str) -> None:
    state = replace(CALM, **ASKING[trigger], quality_failures=("columns_are_as_declared",))
    found = decide(state, rules(trigger))
    assert not found.should_retrain
    assert found.trigger == trigger
    assert found.sentence.startswith(
        "no retraining: data checks fail: columns_are_as_declared (requested by: "
    )


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_the_cool_down_holds_all_but_a_person(trigger: str) -> None:
    state = replace(CALM, **ASKING[trigger], last_triggered_at=AT - timedelta(days=5.9))
    assert decide(state, rules(trigger)).should_retrain == (trigger == policy.BUTTON)
    later = replace(state, last_triggered_at=AT - timedelta(days=6))
    assert decide(later, rules(trigger)).should_retrain


def test_mondays_do_not_hold_each_other() -> None:
    assert RetrainPolicy().cool_down_days < 7


def test_without_a_champion_fewer_arrivals_are_enough() -> None:
    state = MonitorState(at=AT, has_champion=False, new_arrivals=2500)
    assert decide(state).trigger == policy.ARRIVALS
    assert not decide(replace(state, new_arrivals=2499)).should_retrain


@pytest.mark.parametrize(("promoted", "floor"), [(0.4, 0.34), (None, 0.05), (-0.3, 0.05)])
def test_the_floor_follows_what_the_champion_could(promoted: float | None, floor: float) -> None:
    assert RetrainPolicy().skill_floor(promoted) == pytest.approx(floor)


@pytest.mark.parametrize(
    ("off", "rule"),
    [
        (RetrainPolicy(max_age_days=None), policy.AGE),
        (RetrainPolicy(new_arrivals=None), policy.ARRIVALS),
    ],
)
def test_a_trigger_without_a_limit_never_asks(off: RetrainPolicy, rule: str) -> None:
    state = replace(CALM, trained_through_at=AT - timedelta(days=900), new_arrivals=90_000)
    found = decide(state, off)
    (reason,) = [reason for reason in found.reasons if reason.rule == rule]
    assert not reason.holds
    assert reason.text.endswith("(no limit)")
    assert found.trigger == ({policy.AGE, policy.ARRIVALS} - {rule}).pop()


def test_the_policy_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RetrainPolicy().min_r2 = 0.0
