"""What is expected of each unit with sensor readings: learned, tried, decided, predicted.

Belongs here: the order of it for one fleet. Does not: models (`models`), errors (`trials`), rules
(`gate`), tables (`store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import gate, readings
from skyops_assets.reliability.models import (
    BOOSTING,
    FOREST,
    Band,
    Predict,
    limit_of,
    remaining_model,
    unseen,
    within_model,
)
from skyops_assets.reliability.readings import Fleet
from skyops_assets.reliability.trials import Score, split_units, try_remaining, try_within

FAILED = "it failed at cycle"
"""How the reason of a unit without a future begins."""


@dataclass(frozen=True)
class Prospect:
    """What is expected of one unit, or why nothing is."""

    unit: str
    remaining: float | None = None
    low: float | None = None
    high: float | None = None
    is_at_limit: bool | None = None
    probability: float | None = None
    why_null: str | None = None


@dataclass
class Outlook:
    """One fleet's scores, decisions and prospects.

    Attributes:
        decisions: by question and model, with the value that is recommended, if it is one.
    """

    fleet: str
    scores: list[Score] = field(default_factory=list)
    decisions: list[tuple[str, str, gate.Decision, float | None]] = field(default_factory=list)
    prospects: list[Prospect] = field(default_factory=list)
    limit: float | None = None
    probability_model: str | None = None


def look(fleet: Fleet, policy: ReliabilityPolicy) -> Outlook:
    """Learn from half of a fleet, try on the other, decide; then look at the units that run.

    On one core: on two busy ones the threads of gradient boosting wait for each other, for 174 s
    instead of 12 (FD001).
    """
    # Only libraries that are loaded by now can be limited.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _look(fleet, policy)


def _look(fleet: Fleet, policy: ReliabilityPolicy) -> Outlook:
    found = Outlook(fleet.name)
    split = split_units(fleet)
    fewest = min(split.counts()["train_failures"], split.counts()["test_failures"])
    if fewest < policy.min_failures:
        decision = gate.not_enough(fewest, policy, "failed units in one half of the fleet")
        for question, model in (
            (gate.REMAINING, BOOSTING),
            (gate.WITHIN, BOOSTING),
            (gate.WITHIN, FOREST),
            (gate.LIMIT, BOOSTING),
        ):
            found.decisions.append((question, model, decision, None))
        found.prospects = _prospects(fleet, decision.sentence)
        return found
    lasting = try_remaining(split, policy)
    verdict = gate.judge_model(lasting[1], policy)
    limit_verdict = gate.judge_limit(lasting[2], verdict, policy)
    within = try_within(split, policy)
    judged = [(score, gate.judge_model(score, policy)) for score in within[1:]]
    found.scores = [*lasting, *within]
    _tell(fleet, policy, found, verdict=verdict, limit_verdict=limit_verdict, judged=judged)
    return found


def _tell(
    fleet: Fleet,
    policy: ReliabilityPolicy,
    found: Outlook,
    *,
    verdict: gate.Decision,
    limit_verdict: gate.Decision,
    judged: Sequence[tuple[Score, gate.Decision]],
) -> None:
    """Add decisions, and prospects by models that have learned from all units."""
    running = [unit for unit in fleet.units if unit.is_running]
    lasting: Predict | None = None
    limit: float | None = None
    band: Band | None = None
    if verdict.is_recommended:
        apart = unseen(fleet.units, policy, 2)
        band = Band(apart, readings.remaining(fleet.units, policy.longest_life_cycles))
        limit = limit_of(fleet.units, apart, policy) if limit_verdict.is_recommended else None
        lasting = remaining_model(fleet.units, policy) if running else None
    found.limit = limit
    found.decisions = [
        (gate.REMAINING, BOOSTING, verdict, None),
        (gate.LIMIT, BOOSTING, limit_verdict, limit),
        *((gate.WITHIN, score.model, decision, None) for score, decision in judged),
    ]
    used = [score for score, decision in judged if decision.is_recommended]
    best = min(used, key=lambda score: (score.brier, score.model), default=None)
    found.probability_model = best.model if best else None
    chance = within_model(fleet.units, best.model, policy) if best and running else None
    refused = "; ".join(one.sentence for one in (verdict, *(one for _, one in judged)))
    found.prospects = _prospects(
        fleet, refused, lasting=lasting, band=band, limit=limit, chance=chance
    )


def _prospects(
    fleet: Fleet,
    refused: str,
    *,
    lasting: Predict | None = None,
    band: Band | None = None,
    limit: float | None = None,
    chance: Predict | None = None,
) -> list[Prospect]:
    found = [Prospect(name, why_null=why) for name, why in fleet.left_out.items()]
    for unit in fleet.units:
        if unit.is_failed:
            found.append(Prospect(unit.name, why_null=f"{FAILED} {unit.last}"))
            continue
        if lasting is None and chance is None:
            found.append(Prospect(unit.name, why_null=refused))
            continue
        left = lasting([unit]) if lasting else None
        low, high = band.around(left[-1:]) if band and left is not None else (None, None)
        found.append(
            Prospect(
                unit.name,
                remaining=None if left is None else float(left[-1]),
                low=None if low is None else float(low[0]),
                high=None if high is None else float(high[0]),
                is_at_limit=None if left is None or limit is None else bool((left <= limit).any()),
                probability=float(chance([unit])[-1]) if chance else None,
            )
        )
    return sorted(found, key=lambda one: one.unit)
