"""When to train a new challenger: a policy, what is known, and a decision with reasons.

Belongs here: triggers and thresholds, pure. Does not: measuring (`skill`, `drift`), promoting (the
gatekeeper decides on the challenger), or starting anything. "No" is a decision, with reasons too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from skyops_assets.policies import RetrainPolicy

SKILL, ERROR, DRIFT, AGE, ARRIVALS, SCHEDULE, BUTTON = (
    "skill",
    "error and drift",
    "drift",
    "age",
    "new arrivals",
    "schedule",
    "button",
)
"""The triggers, the most telling first: the first that holds is the one that is named."""


@dataclass(frozen=True)
class MonitorState:
    """What is known at a moment; None is "not measured" or "there is none".

    Attributes:
        at: the moment (UTC): asked for, or how far the data reach.
        skill, earlier_skill: of the window and of the one before it.
        promoted_skill: what the champion's was when it was evaluated.
        trained_through_at: the last landing that the champion has learned from.
        new_arrivals: landed since the last training set.
        last_triggered_at: `at` of the last decision that asked for a retraining.
        request: "schedule" or "button", where this is why the question is asked.
        quality_failures: what is wrong with the data.
    """

    at: datetime
    has_champion: bool
    skill: float | None = None
    earlier_skill: float | None = None
    promoted_skill: float | None = None
    r2: float | None = None
    rmse_min: float | None = None
    drift_score: float | None = None
    trained_through_at: datetime | None = None
    new_arrivals: int = 0
    last_triggered_at: datetime | None = None
    request: str | None = None
    quality_failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One trigger, or what holds a retraining back, with what was found."""

    rule: str
    holds: bool
    text: str


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to retrain, which trigger asked first, and what every rule found."""

    should_retrain: bool
    trigger: str | None
    reasons: tuple[Reason, ...]

    @property
    def sentence(self) -> str:
        """The decision and what decided it."""
        asked = "; ".join(r.text for r in self.reasons if r.holds and r.rule in TRIGGERS)
        held = "; ".join(r.text for r in self.reasons if r.holds and r.rule not in TRIGGERS)
        if self.should_retrain:
            return f"retrain: {asked}"
        return f"no retraining: {held or 'no trigger applies'}" + (
            f" (requested by: {asked})" if asked else ""
        )


TRIGGERS = (SKILL, ERROR, DRIFT, AGE, ARRIVALS, SCHEDULE, BUTTON)


def decide(state: MonitorState, policy: RetrainPolicy | None = None) -> RetrainDecision:
    """Judge every rule; a failure of data quality or the cool-down holds a retraining back."""
    p = policy or RetrainPolicy()
    floor = p.skill_floor(state.promoted_skill)
    is_low = [s is not None and s < floor for s in (state.skill, state.earlier_skill)]
    is_off = (state.r2 is not None and state.r2 < p.min_r2) or (
        state.rmse_min is not None and state.rmse_min > p.max_rmse_min
    )
    has_drift = state.drift_score is not None and state.drift_score > p.max_drift_score
    age = state.at - state.trained_through_at if state.trained_through_at else None
    needed = p.new_arrivals if state.has_champion else p.first_arrivals
    since = state.at - state.last_triggered_at if state.last_triggered_at else None
    rules = (
        Reason(
            SKILL,
            all(is_low),
            f"skill {_text(state.skill)}, {_text(state.earlier_skill)} in the window before; "
            f"floor {floor:.2f}",
        ),
        Reason(
            ERROR,
            is_off and has_drift,
            f"R2 {_text(state.r2)} (at least {p.min_r2:.2f}), RMSE {_text(state.rmse_min, ' min')} "
            f"(at most {p.max_rmse_min:.2f}), drift score {_text(state.drift_score)} (at most "
            f"{p.max_drift_score:.2f})",
        ),
        Reason(
            DRIFT,
            p.drift_alone and has_drift,
            f"drift score {_text(state.drift_score)} (at most {p.max_drift_score:.2f})"
            if p.drift_alone
            else "drift alone is no trigger (drift_alone)",
        ),
        Reason(
            AGE,
            state.has_champion
            and age is not None
            and p.max_age_days is not None
            and age > timedelta(days=p.max_age_days),
            "there is no champion to age"
            if not state.has_champion or age is None
            else f"the champion's last training arrival was {age / timedelta(days=1):.1f} days ago "
            f"({_limit('at most', p.max_age_days)})",
        ),
        Reason(
            ARRIVALS,
            needed is not None and state.new_arrivals >= needed,
            f"{state.new_arrivals} arrivals since the last training set ({_limit('from', needed)})",
        ),
        Reason(SCHEDULE, state.request == SCHEDULE, "the weekly schedule"),
        Reason(BUTTON, state.request == BUTTON, "a person"),
        Reason(
            "data quality",
            bool(state.quality_failures),
            "data checks fail: " + "; ".join(state.quality_failures)
            if state.quality_failures
            else "all data checks pass",
        ),
        Reason(
            "cool-down",
            since is not None
            and since < timedelta(days=p.cool_down_days)
            and state.request != BUTTON,
            "no earlier retraining"
            if since is None
            else f"the last retraining was requested {since / timedelta(days=1):.1f} days ago "
            f"(cool-down {p.cool_down_days:g})",
        ),
    )
    asked = next((r.rule for r in rules if r.holds and r.rule in TRIGGERS), None)
    is_held = any(r.holds for r in rules if r.rule not in TRIGGERS)
    return RetrainDecision(asked is not None and not is_held, asked, rules)


def _limit(word: str, value: float | None) -> str:
    return "no limit" if value is None else f"{word} {value:.12g}"


def _text(value: float | None, unit: str = "") -> str:
    return "not measured" if value is None else f"{value:.2f}{unit}"
