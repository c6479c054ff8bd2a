"""Decides what is recommended: an interval, a limit, a model of failures; with reasons.

Belongs here: the rules, pure functions of what was found. Does not: finding it (`interval`,
`outlook`), writing it down (`store`). "No" is a decision, with reasons too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from skyops_assets.policies import ReliabilityPolicy

if TYPE_CHECKING:
    from skyops_assets.reliability.interval import Estimate
    from skyops_assets.reliability.trials import Score

SIGNIFICANT = 0.05
"""So seldom may chance alone give a result that speaks against a recommendation."""
INTERVAL, REMAINING, WITHIN, LIMIT = QUESTIONS = (
    "interval",
    "remaining life",
    "failure within",
    "limit",
)


@dataclass(frozen=True)
class Reason:
    """One rule's verdict: what was found (`value`), what it was held to (`limit`)."""

    rule: str
    is_passed: bool
    text: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Decision:
    """Whether something is recommended, and every rule's part in it."""

    is_recommended: bool
    reasons: tuple[Reason, ...]

    @property
    def sentence(self) -> str:
        """The decision in one line."""
        if self.is_recommended:
            return f"recommended: {self.reasons[-1].text}"
        return "not recommended: " + "; ".join(r.text for r in self.reasons if not r.is_passed)

    def as_json(self) -> list[dict[str, Any]]:
        """The reasons as ``audit.reliability_decisions.reasons`` keeps them."""
        return [asdict(reason) for reason in self.reasons]


def of(reasons: Iterable[Reason]) -> Decision:
    """Recommended exactly where all rules pass."""
    found = tuple(reasons)
    return Decision(all(reason.is_passed for reason in found), found)


def not_enough(failures: int, policy: ReliabilityPolicy, what: str = "failures") -> Decision:
    """The decision where too little is known for an estimate."""
    text = f"not enough: {failures} {what} ({policy.min_failures} are needed)"
    return of([Reason("failures", False, text, failures, policy.min_failures)])


def judge_interval(found: Estimate, policy: ReliabilityPolicy) -> Decision:
    """Whether a component's interval is recommended."""
    reasons = [_scope(found), _failures(found, policy), _survivors(found)]
    if found.fit is None:
        text = "all failures were at one age: no distribution can be fitted"
        return of([*(reasons), Reason("fit", False, text)])
    fit, interval = found.fit, found.fit.interval
    shape_low = fit.shape[0]
    wears = shape_low > 1
    reasons.append(
        Reason(
            "wear",
            wears,
            f"it wears out: the Weibull's shape is above 1 (lower bound {shape_low:.2f})"
            if wears
            else f"there is no evidence of wear-out (lower bound of the Weibull's shape "
            f"{shape_low:.2f}, needs more than 1): a newer part would fail as often",
            shape_low,
            1.0,
        )
    )
    what = f"lives went on beyond {interval:.6g} {found.measure}"
    reasons.append(_least("seen", what, found.reached, policy.min_failures))
    high = found.curve.high_at(interval)
    agrees = high >= policy.target_survival
    reasons.append(
        Reason(
            "agreement",
            agrees,
            f"Kaplan-Meier {'agrees' if agrees else 'disagrees'}: at most "
            f"{high:.1%} reach it (target {policy.target_survival:.1%})",
            high,
            policy.target_survival,
        )
    )
    share = max(fit.bounds[0], 0.0) / interval
    reasons.append(
        Reason(
            "bounds",
            share >= policy.min_low_share,
            f"the interval's lower bound is {share:.0%} of it (at least "
            f"{policy.min_low_share:.0%})",
            share,
            policy.min_low_share,
        )
    )
    return of([*reasons, *_tried(found, policy)])


def judge_model(score: Score, policy: ReliabilityPolicy) -> Decision:
    """Whether a model of remaining life, or of a failure within N cycles, is used."""
    units, fewest = "failed units outside its training data", policy.min_failures
    low = -1.0 if score.skill_low is None else score.skill_low
    is_better = low > 0
    return of(
        [
            _least(
                "train_units",
                "failed units for training",
                score.train_failures,
                policy.min_failures,
            ),
            _least("test_units", units, score.test_failures, fewest),
            Reason(
                "skill",
                is_better,
                f"its squared error is {'' if is_better else 'not '}significantly below the error "
                f"of age alone (skill {_text(score.skill)}, lower bound {_text(score.skill_low)})",
                score.skill_low,
                0.0,
            ),
        ]
    )


def judge_limit(score: Score, model: Decision, policy: ReliabilityPolicy) -> Decision:
    """Whether a limit from sensor readings is recommended."""
    if not model.is_recommended:
        return of([Reason("model", False, "the model of remaining life is not used")])
    from scipy import stats

    failed = round((score.failed_share or 0) * score.test_failures)
    allowed = 1 - policy.target_survival
    chance = float(stats.binom.sf(failed - 1, score.test_failures, allowed))
    used, fixed = score.used_life_share or 0.0, score.naive_used_life_share or 0.0
    return of(
        [
            _least(
                "test_units",
                "failed units that it was tested on",
                score.test_failures,
                policy.min_failures,
            ),
            Reason(
                "failed",
                chance > SIGNIFICANT,
                f"{failed} of {score.test_failures} units failed before they reached it (allowed "
                f"are {allowed:.1%}; by chance as many or more: {chance:.0%})",
                failed / max(score.test_failures, 1),
                allowed,
            ),
            Reason(
                "life",
                used > fixed,
                f"{used:.1%} of life is used ({fixed:.1%} by the fixed interval)",
                used,
                fixed,
            ),
        ]
    )


def _scope(found: Estimate) -> Reason:
    is_part = found.scope != "chapter"
    text = (
        "it is one part"
        if is_part
        else "a chapter covers many parts: only a part number can have a replacement interval"
    )
    return Reason("part", is_part, text)


def _failures(found: Estimate, policy: ReliabilityPolicy) -> Reason:
    return _least("failures", "failures", found.failures, policy.min_failures)


def _survivors(found: Estimate) -> Reason:
    text = (
        "units that did not fail are known too"
        if found.has_survivors
        else "only failures are known: without configurations the units still running are unknown, "
        "and lives seem shorter than they are"
    )
    return Reason("survivors", found.has_survivors, text)


def _tried(found: Estimate, policy: ReliabilityPolicy) -> Iterable[Reason]:
    trial = found.trial
    if found.scope == "chapter":
        return
    if trial is None:
        yield Reason("tried", False, f"it could not be tested: {found.untried_because}")
        return
    yield Reason(
        "tried",
        trial.lives >= policy.min_tried_lives,
        f"{trial.how} it was tested on {trial.lives:.1f} lives "
        f"({'at least' if trial.lives >= policy.min_tried_lives else 'needs'} "
        f"{policy.min_tried_lives:g})",
        trial.lives,
        policy.min_tried_lives,
    )
    is_kept = trial.chance > SIGNIFICANT
    yield Reason(
        "held",
        is_kept,
        f"{trial.failed} failed before the interval, {trial.expected:.1f} were expected"
        + ("" if is_kept else f" (as many or more by chance: {trial.chance:.1%})"),
        trial.failed,
        trial.expected,
    )


def _least(rule: str, what: str, value: float, limit: float) -> Reason:
    is_passed = value >= limit
    text = f"{value:g} {what} ({'at least' if is_passed else 'needs'} {limit:g})"
    if rule == "failures" and not is_passed:
        text = f"not enough: {value:g} {what} ({limit:g} are needed)"
    return Reason(rule, is_passed, text, float(value), float(limit))


def _text(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"
