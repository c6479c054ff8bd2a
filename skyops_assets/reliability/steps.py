"""What the assets do: read what an operator gave, fit and try it, decide, write it down.

Belongs here: the order, and the sentence that a person reads. Does not: any of the work.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import gate, lives, outlook, readings, store
from skyops_assets.reliability.clocks import MEASURES
from skyops_assets.reliability.interval import Estimate, estimate
from skyops_assets.reliability.lives import Component
from skyops_assets.reporting.markdown import table
from skyops_assets.warehouse.connection import Warehouse

METHOD = 1
"""Raised when the same data would be decided otherwise."""


@dataclass(frozen=True)
class Made:
    """What a step wrote.

    Attributes:
        sentence: the result, or why there is none.
        shown: the rows as a table in Markdown; None without rows.
    """

    rows: int
    recommended: int
    new_decisions: int
    sentence: str
    shown: str | None


def fit_component_lives(
    warehouse: Warehouse, policy: ReliabilityPolicy, *, dagster_run_id: str | None = None
) -> Made:
    """Fit the life of each part, chapter and fleet, and decide on its interval."""
    events = store.rows(warehouse, store.EVENTS)
    parts = lives.of_parts(
        events,
        store.rows(warehouse, store.CONFIGURATIONS),
        store.rows(warehouse, store.EXPOSURE),
    )
    named = lives.chapters(events, store.rows(warehouse, store.PARTS))
    fleets = readings.fleets(store.sensor_readings(warehouse))
    components = [
        *parts,
        *lives.of_chapters(parts, named, policy.min_failures),
        *(fleet.lives() for fleet in fleets),
    ]
    programmes: dict[tuple[str, str], float | None] = {
        (row["part_number"], measure): row[measure]
        for row in store.rows(warehouse, store.PROGRAMMES)
        for measure in MEASURES
    }
    made, decisions = [], []
    for component in components:
        if not component.lives and not component.left_out:
            continue
        found = estimate(component, policy) if component.failures else None
        decision = (
            gate.judge_interval(found, policy)
            if found and component.failures >= policy.min_failures
            else gate.not_enough(component.failures, policy)
        )
        programme = programmes.get((component.name, component.measure))
        made.append(_life_row(component, found, decision, policy, programme))
        decisions.append(
            store.decision_row(
                decision,
                question=gate.INTERVAL,
                scope=component.scope,
                component=component.name,
                measure=component.measure,
                model="weibull",
                fingerprint=store.fingerprint(
                    METHOD, policy, component.has_survivors, component.lives
                ),
                value=found.fit.interval if found and found.fit else None,
                run_id=dagster_run_id,
            )
        )
    new = store.replace_all(warehouse, {"ml.component_lives": made}, decisions)
    recommended = [row for row in made if row["recommended_interval"] is not None]
    return Made(
        rows=len(made),
        recommended=len(recommended),
        new_decisions=new,
        sentence=_lives_sentence(made, len(recommended)),
        shown=_lives_table(made) if made else None,
    )


def make_failure_outlook(
    warehouse: Warehouse, policy: ReliabilityPolicy, *, dagster_run_id: str | None = None
) -> Made:
    """Learn from each fleet's sensor readings, decide, and tell what is expected of each unit."""
    scores: list[dict[str, Any]] = []
    prospects: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    recommended = 0
    readings_table = store.sensor_readings(warehouse)
    for fleet in readings.fleets(readings_table):
        found = outlook.look(fleet, policy)
        scores += [_score_row(fleet.name, score) for score in found.scores]
        prospects += [_prospect_row(fleet, found, one, policy) for one in found.prospects]
        recommended += sum(decision.is_recommended for _, _, decision, _ in found.decisions)
        decisions += [
            store.decision_row(
                decision,
                question=question,
                scope="fleet",
                component=fleet.name,
                measure="cycles",
                model=model,
                fingerprint=store.fingerprint(METHOD, policy, fleet.fingerprint()),
                value=value,
                run_id=dagster_run_id,
            )
            for question, model, decision, value in found.decisions
        ]
    new = store.replace_all(
        warehouse,
        {"ml.outlook_evaluations": scores, "ml.failure_outlook": prospects},
        decisions,
    )
    return Made(
        rows=len(prospects),
        recommended=recommended,
        new_decisions=new,
        sentence=_outlook_sentence(prospects),
        shown=_outlook_table(decisions, scores) if decisions else None,
    )


def _life_row(
    component: Component,
    found: Estimate | None,
    decision: gate.Decision,
    policy: ReliabilityPolicy,
    programme: float | None,
) -> dict[str, Any]:
    fit = found.fit if found else None
    curve = found.curve if found else None
    target = policy.target_survival
    return {
        "scope": component.scope,
        "component": component.name,
        "measure": component.measure,
        "life_count": len(component.lives),
        "failure_count": component.failures,
        "censored_count": len(component.lives) - component.failures,
        "left_out": json.dumps(dict(sorted(component.left_out.items()))),
        "median_life": curve and curve.first_below(curve.survival, 0.5 + 1e-9),
        "km_interval": curve and curve.first_below(curve.survival, target),
        "km_interval_low": curve and curve.first_below(curve.low, target),
        "km_interval_high": curve and curve.first_below(curve.high, target),
        "weibull_shape": fit and fit.plain.shape,
        "weibull_shape_low": fit and fit.shape[0],
        "weibull_shape_high": fit and fit.shape[1],
        "weibull_scale": fit and fit.plain.scale,
        "weibull_scale_low": fit and fit.scale[0],
        "weibull_scale_high": fit and fit.scale[1],
        "failure_free_life": fit and fit.chosen.start,
        "target_survival": target,
        "interval_life": fit and fit.interval,
        "interval_low": fit and fit.bounds[0],
        "interval_high": fit and fit.bounds[1],
        "programme_interval": programme,
        "recommended_interval": fit.interval if fit and decision.is_recommended else None,
        "decision": decision.sentence,
        "survival": json.dumps(curve.steps() if curve else []),
        "known_through_on": max(
            (one.ended_on for one in component.lives if one.ended_on), default=None
        ),
    }


def _score_row(fleet: str, score: outlook.Score) -> dict[str, Any]:
    true_positive, false_positive, false_negative, true_negative = score.confusion or (None,) * 4
    return {
        "fleet": fleet,
        "question": score.question,
        "model": score.model,
        "how": score.how,
        "train_unit_count": score.train_units,
        "test_unit_count": score.test_units,
        "test_row_count": score.test_rows,
        "rmse_cycles": score.rmse,
        "mae_cycles": score.mae,
        "interval_coverage_share": score.coverage,
        "within_cycles": score.within_cycles,
        "brier_score": score.brier,
        **score.shares(),
        "true_positive_count": true_positive,
        "false_positive_count": false_positive,
        "false_negative_count": false_negative,
        "true_negative_count": true_negative,
        "limit_cycles": score.limit,
        "used_life_share": score.used_life_share,
        "failed_share": score.failed_share,
        "skill": score.skill,
        "skill_low": score.skill_low,
        "skill_high": score.skill_high,
    }


def _prospect_row(
    fleet: readings.Fleet,
    found: outlook.Outlook,
    one: outlook.Prospect,
    policy: ReliabilityPolicy,
) -> dict[str, Any]:
    last = fleet.latest[one.unit]
    return {
        "fleet": fleet.name,
        "unit": one.unit,
        "airframe": last.airframe,
        "icao24": last.icao24,
        "cycle": last.last,
        "observed_on": last.days[-1] if last.days else None,
        "remaining_life_cycles": one.remaining,
        "remaining_life_low_cycles": one.low,
        "remaining_life_high_cycles": one.high,
        "limit_cycles": None if one.is_at_limit is None else found.limit,
        "is_at_limit": one.is_at_limit,
        "within_cycles": policy.fails_within_cycles,
        "failure_probability": one.probability,
        "probability_model": None if one.probability is None else found.probability_model,
        "why_null": one.why_null,
    }


def _lives_sentence(made: Sequence[dict[str, Any]], recommended: int) -> str:
    if not made:
        return (
            "There are no maintenance events, configurations or sensor readings: nothing is fitted."
        )
    left_out: Counter[str] = Counter()
    for row in made:
        if row["scope"] != "chapter":
            left_out.update(json.loads(row["left_out"]))
    return (
        f"{recommended} of {len(made)} components and measures have a recommended interval."
        + (f" Lives that could not be determined: {sum(left_out.values())}." if left_out else "")
        + _most(left_out)
    )


def _outlook_sentence(prospects: Sequence[dict[str, Any]]) -> str:
    if not prospects:
        return "There are no sensor readings: nothing is predicted."
    why = Counter(row["why_null"] for row in prospects)
    told = why.pop(None, 0)
    failed = [reason for reason in why if reason.startswith(outlook.FAILED)]
    count = sum(why.pop(reason) for reason in failed)
    return f"{told} of {len(prospects)} units have an outlook; {count} have failed." + _most(why)


def _most(why: Counter[str]) -> str:
    """The reasons by how often they hold, the three most frequent."""
    told = sorted(why.items(), key=lambda one: (-one[1], one[0]))[:3]
    return "".join(f" {count}: {reason}." for reason, count in told)


def _lives_table(made: Sequence[dict[str, Any]], most: int = 50) -> str:
    first = sorted(
        made, key=lambda row: (row["recommended_interval"] is None, -row["failure_count"])
    )
    return table(
        ("component", "measure", "lives", "failures", "interval", "bounds", "decision"),
        [
            (
                f"{row['scope']} {row['component']}",
                row["measure"],
                row["life_count"],
                row["failure_count"],
                _number(row["interval_life"]),
                f"{_number(row['interval_low'])} to {_number(row['interval_high'])}",
                row["decision"],
            )
            for row in first[:most]
        ],
    )


def _outlook_table(decisions: Sequence[dict[str, Any]], scores: Sequence[dict[str, Any]]) -> str:
    skill = {(row["fleet"], row["question"], row["model"]): row["skill"] for row in scores}
    return table(
        ("fleet", "question", "model", "skill", "decision"),
        [
            (
                row["component"],
                row["question"],
                row["model"],
                _number(skill.get((row["component"], row["question"], row["model"]))),
                row["summary"],
            )
            for row in decisions
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
