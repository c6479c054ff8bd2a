"""Whether a challenger becomes champion: a policy, the evidence, and a decision with reasons.

Belongs here: rules and thresholds, pure. Does not: measuring (`evaluate`) or acting on the
decision (`steps`). Every rule is always judged, so that a reader sees all that is missing; a
number that was not measured fails its rule and is never filled in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GatePolicy:
    """The thresholds, each with its source.

    Attributes:
        min_train_rows: at LSZH (forward-chained, 2019-03) the model lost to the best baseline
            when it knew 100 arrivals (4.02 against 3.55 min) and beat it from 200 (3.27).
        min_test_rows, min_test_days: identical recipes, fitted on 95 % of LSZH 2019-03 each and
            compared in 2019-05, were promoted in 8.9 % of 3-hour windows, 3.0 % of single days,
            2.3 % of 3 days with 400 arrivals, 0.7 % with 700, 0.3 % with all 1,032; "promote if
            better" promotes 50 %. A day is a UTC date with test arrivals.
        min_scored_share: share of the test rows on which all candidates could be compared.
        min_gain: 1 - MAE / MAE_reference; without it 5.7 % of those 3-day windows promoted.
        min_skill_low: the 95 % interval's lower bound is to be above it.
    """

    min_train_rows: int = 200
    min_test_rows: int = 700
    min_test_days: int = 3
    min_scored_share: float = 0.9
    min_gain: float = 0.02
    min_skill_low: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger; None is "not measured".

    `gain` and `gain_low` are against `reference`: the champion where there is one, on the
    rows neither has learned from, else the best baseline. `skill` is against the best
    baseline in either case. `taken_back` says how a person took it out of force.
    """

    challenger_version: str | None
    untrained_reason: str | None
    train_rows: int
    test_rows: int
    scored_rows: int | None
    test_days: int | None
    reference: str | None
    reference_mae_min: float | None
    challenger_mae_min: float | None
    gain: float | None
    gain_low: float | None
    skill: float | None
    has_champion: bool
    is_reference_current: bool
    taken_back: str | None = None


@dataclass(frozen=True)
class Reason:
    """One rule's verdict: what was found (`value`), what it was held to (`limit`)."""

    rule: str
    is_passed: bool
    text: str
    value: float | None
    limit: float | None


@dataclass(frozen=True)
class Decision:
    """The verdict and every rule's part in it."""

    is_promoted: bool
    reasons: tuple[Reason, ...]

    @property
    def failed(self) -> tuple[Reason, ...]:
        """The rules that stood in the way."""
        return tuple(reason for reason in self.reasons if not reason.is_passed)

    @property
    def sentence(self) -> str:
        """The decision in one line."""
        if self.is_promoted:
            return "promoted: " + self.reasons[-1].text if self.reasons else "promoted"
        return "not promoted: " + "; ".join(reason.text for reason in self.failed)

    def as_json(self) -> list[dict[str, Any]]:
        """The reasons as ``ml.promotion_decisions.reasons`` keeps them."""
        return [asdict(reason) for reason in self.reasons]


def decide(evidence: Evidence, policy: GatePolicy | None = None) -> Decision:
    """Judge the evidence by every rule; promoted exactly where all pass."""
    policy = policy or GatePolicy()
    reference = evidence.reference or "a reference"
    share = None
    if evidence.scored_rows is not None and evidence.test_rows:
        share = evidence.scored_rows / evidence.test_rows
    reasons = [
        _trained(evidence),
        _not_taken_back(evidence),
        _at_least(
            "train_rows", "arrivals to learn from", evidence.train_rows, policy.min_train_rows
        ),
        _at_least("test_rows", "scored test arrivals", evidence.scored_rows, policy.min_test_rows),
        _at_least("test_days", "days with test arrivals", evidence.test_days, policy.min_test_days),
        _at_least(
            "scored_share",
            "of the test arrivals answered by every candidate",
            share,
            policy.min_scored_share,
            percent=True,
        ),
        _reference(evidence),
    ]
    if evidence.has_champion:
        reasons.append(_above("baseline", "skill against the best baseline", evidence.skill, 0.0))
    reasons.append(
        _above(
            "gain_low",
            f"lower bound of the gain against {reference}",
            evidence.gain_low,
            policy.min_skill_low,
        )
    )
    reasons.append(
        _at_least("gain", f"gain against {reference}", evidence.gain, policy.min_gain, percent=True)
    )
    return Decision(all(reason.is_passed for reason in reasons), tuple(reasons))


def _trained(evidence: Evidence) -> Reason:
    if evidence.challenger_version is not None:
        return Reason("trained", True, f"version {evidence.challenger_version}", None, None)
    why = evidence.untrained_reason or "no model was registered for this training run"
    return Reason("trained", False, f"no challenger: {why}", None, None)


def _not_taken_back(evidence: Evidence) -> Reason:
    if evidence.taken_back is None:
        return Reason("taken_back", True, "not taken back by hand", None, None)
    text = f"taken back by hand, so only a person promotes it again: {evidence.taken_back}"
    return Reason("taken_back", False, text, None, None)


def _reference(evidence: Evidence) -> Reason:
    if evidence.has_champion:
        what = "against the champion in force"
    else:
        what = "against the best baseline, as there is no champion"
    is_current = evidence.is_reference_current
    text = f"{'evaluated' if is_current else 'not (or no longer) evaluated'} {what}"
    return Reason("reference", evidence.is_reference_current, text, None, None)


def _at_least(
    rule: str, what: str, value: float | None, limit: float, *, percent: bool = False
) -> Reason:
    if value is None:
        return Reason(rule, False, _unknown(what), None, limit)
    is_passed = value >= limit
    if percent:
        text = f"{value:.1%} {what} ({'at least' if is_passed else 'needs'} {limit:.0%})"
    else:
        text = f"{value:g} {what} ({'at least' if is_passed else 'needs'} {limit:g})"
    return Reason(rule, is_passed, text, float(value), float(limit))


def _above(rule: str, what: str, value: float | None, limit: float) -> Reason:
    if value is None:
        return Reason(rule, False, _unknown(what), None, limit)
    is_passed = value > limit
    text = f"{what} {value:+.1%} ({'above' if is_passed else 'needs more than'} {limit:.0%})"
    return Reason(rule, is_passed, text, float(value), float(limit))


def _unknown(what: str) -> str:
    return f"{what}: could not be computed"
