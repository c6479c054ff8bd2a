"""One verdict on the champion: skill and drift of the latest window, and whether to retrain.

Belongs here: the order of reading, measuring, deciding and writing. Does not: formulas (`skill`,
`drift`), the rules (`policy`), starting a retraining (`defs`), the report (`report`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import features
from skyops_assets.arrivals.evaluation.metrics import NOT_MEASURED
from skyops_assets.arrivals.learning import baselines, split
from skyops_assets.arrivals.steps.predict import predictor_in_force
from skyops_assets.arrivals.store import evaluations, inputs, predictions, training, versions
from skyops_assets.arrivals.store.training import TrainingRun
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.audit import log
from skyops_assets.monitoring import asked as service
from skyops_assets.monitoring import drift, policy, skill
from skyops_assets.monitoring.asked import Asked
from skyops_assets.monitoring.drift import Drift
from skyops_assets.monitoring.policy import MonitorState, RetrainDecision, RetrainPolicy
from skyops_assets.monitoring.skill import WindowSkill
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd

OK, SKILL_ALARM, DRIFT, TOO_FEW, NO_CHAMPION, NO_ARRIVALS = (
    "ok",
    "skill alarm",
    "drift",
    "too few rows",
    "no champion",
    "no arrivals",
)


@dataclass(frozen=True)
class MonitorSummary:
    """One row of ``audit.monitoring_log``, and what it was made of.

    Attributes:
        at: the moment (UTC) that the verdict is about, the window's end.
        window, earlier: the predictor's numbers in the window and in the one before it.
        asked: what the service was asked; no part of verdict or decision.
        current, reference: the rows compared, for pictures; not in the log.
    """

    log_id: int
    at: datetime | None
    model_name: str
    model_version: str | None
    verdict: str
    window: WindowSkill | None
    earlier: WindowSkill | None
    skill_floor: float
    drift: Drift | None
    decision: RetrainDecision
    runway_changes: tuple[dict[str, Any], ...]
    asked: Asked
    current: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    reference: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def skill(self) -> float | None:
        """The window's skill; None where it could not be measured."""
        return self.window.skill if self.window else None

    @property
    def drift_score(self) -> float | None:
        """The window's drift score; None where it could not be measured."""
        return self.drift.score if self.drift else None


def monitor_champion(
    warehouse: Warehouse,
    settings: Settings,
    *,
    as_of: datetime | None = None,
    ring_nm: int = features.RING_NM,
    window_days: int | None = None,
    request: str | None = None,
    quality_failures: tuple[str, ...] = (),
    classify: bool = True,
    run_id: str | None = None,
) -> MonitorSummary:
    """Measure the champion in the latest window, decide on a retraining, and log both in one row.

    Args:
        as_of: the moment to judge at; nothing that was known only later is used. None is how far
            the data reach.
        window_days: None takes the shortest of `skill.WINDOW_DAYS` with enough rows.
        request: `policy.SCHEDULE` or `policy.BUTTON` where that is why it is asked.
        quality_failures: what is wrong with the data; any of them holds a retraining back.
        classify: also the domain classifier of `drift`.
        run_id: the Dagster run, once in the log.

    Raises:
        SkyOpsError: the features table is missing, or the champion cannot be loaded.
    """
    rules = settings.retrain_policy
    name = versions.model_name(ring_nm)
    champion = versions.champion(warehouse, name)
    last_run = training.latest_training_run(warehouse, name)
    last_set = training.training_set(warehouse, last_run.fingerprint) if last_run else None
    fresh, reach = inputs.arrivals_since(
        warehouse,
        ring_nm,
        last_set.crossed_through_at if last_set else None,
        as_of,
        with_simulated=settings.learn_from_simulated,
    )
    at = as_of or reach
    promoted_skill = _promoted_skill(warehouse, champion) if champion else None
    window = earlier = current = reference = found = past = None
    if champion and at:
        run = training.training_run(warehouse, champion.training_run_id)
        rows = _scored_rows(warehouse, settings, ring_nm, champion, at=at, as_of=as_of)
        days = window_days or skill.window_days(rows["crossed_at"], at)
        past = _past(settings, run)
        window, earlier = _skills(rows, past, champion.label, at, days)
        current = rows[skill.within(rows, window.start_at, at)].reset_index(drop=True)
        if past is not None:
            reference = past[past["crossed_at"] < window.start_at].reset_index(drop=True)
            if window.is_enough and len(reference):
                predictor = predictor_in_force(warehouse, settings, ring_nm=ring_nm)
                reference[drift.PREDICTION] = predictor.predict(reference)
            found = drift.compare_windows(reference, current, window_days=days, classify=classify)
    asked = service.measure(warehouse, ring_nm, past, as_of=as_of)
    state = MonitorState(
        at=at or datetime.min.replace(tzinfo=UTC),
        has_champion=champion is not None,
        skill=window.skill if window else None,
        earlier_skill=earlier.skill if earlier else None,
        promoted_skill=promoted_skill,
        r2=window.metrics.r2 if window and window.is_enough else None,
        rmse_min=window.metrics.rmse_min if window and window.is_enough else None,
        drift_score=found.score if found else None,
        trained_through_at=champion.trained_through_at if champion else None,
        new_arrivals=fresh,
        last_triggered_at=log.last_triggered_at(warehouse, name),
        request=request,
        quality_failures=quality_failures,
    )
    decision = policy.decide(state, rules)
    verdict = _verdict(state, window, found, decision, rules) if at else NO_ARRIVALS
    start_at = window.start_at if window else at and at - timedelta(days=skill.WINDOW_DAYS[0])
    changes = tuple(inputs.runway_changes(warehouse, start_at, as_of)) if start_at else ()
    floor = rules.skill_floor(promoted_skill)
    metrics = window.metrics if window and window.is_enough else NOT_MEASURED
    log_id = log.record_verdict(
        warehouse,
        {
            "window_start_at": start_at,
            "window_end_at": at,
            "model_name": name,
            "model_version": champion and champion.version,
            "skill": state.skill,
            "mae_min": metrics.mae_min,
            "rmse_min": metrics.rmse_min,
            "r2": metrics.r2,
            "drift_score": state.drift_score,
            "verdict": verdict,
            "triggered": decision.should_retrain,
            "trigger": decision.trigger,
            "run_id": run_id,
            "details": {
                **_details(window, earlier, found, decision, changes),
                "asked": asked.as_json(),
                "skill_floor": floor,
            },
        },
    )
    return MonitorSummary(
        log_id,
        at,
        name,
        champion.version if champion else None,
        verdict,
        window,
        earlier,
        floor,
        found,
        decision,
        changes,
        asked,
        current,
        reference,
    )


def latest(warehouse: Warehouse, ring_nm: int = features.RING_NM) -> dict[str, Any]:
    """The newest row of the log on a ring's model, with `sentence` and `drifted` in words.

    Empty where nothing was monitored yet.
    """
    return _in_words(log.newest_verdict(warehouse, versions.model_name(ring_nm)))


def latest_skill(warehouse: Warehouse, ring_nm: int = features.RING_NM) -> dict[str, Any]:
    """As `latest`, of the newest window in which this champion's skill was measured, if any was.

    Too few rows are no recovery: nothing is known of the window. A new champion begins again.
    """
    row = latest(warehouse, ring_nm)
    if row.get("verdict") != TOO_FEW:
        return row
    before = log.newest_measured(warehouse, row["model_name"], row["model_version"])
    return _in_words(before) if before else row


def _in_words(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {}
    details = row["details"]
    skill_text = next(r["text"] for r in details["reasons"] if r["rule"] == policy.SKILL)
    columns = dict.fromkeys(one["column"] for one in details["beyond"])
    row["sentence"] = f"{row['verdict']}: {skill_text}"
    row["drifted"] = ", ".join(columns) or details["no_drift_score_because"] or "no column"
    return row


def has_drift(score: float | None, rules: RetrainPolicy) -> bool:
    """Whether a drift score is over the policy's limit; one that was not measured is not."""
    return score is not None and score > rules.max_drift_score


def open_request(warehouse: Warehouse, ring_nm: int = features.RING_NM) -> int | None:
    """The log_id of the newest decision that asks for a retraining and has no outcome."""
    return log.open_request(warehouse, versions.model_name(ring_nm))


def _scored_rows(
    warehouse: Warehouse,
    settings: Settings,
    ring_nm: int,
    champion: ModelVersion,
    *,
    at: datetime,
    as_of: datetime | None,
) -> pd.DataFrame:
    """Arrivals of the last two longest windows that the champion predicted and had not learned."""
    since = at - timedelta(days=2 * skill.WINDOW_DAYS[-1])
    rows, _ = features.usable_arrivals(
        inputs.read_arrivals(
            warehouse,
            ring_nm,
            since=since,
            as_of=as_of,
            with_simulated=settings.learn_from_simulated,
        )
    )
    predicted = predictions.read_fair_predictions(warehouse, ring_nm, champion, since)
    return rows.merge(predicted, on=list(features.KEY))


def _past(settings: Settings, run: TrainingRun | None) -> pd.DataFrame | None:
    """The rows of the champion's training set; None where they are gone."""
    if run is None or not training.has_snapshot(settings, run.fingerprint):
        return None
    return training.read_snapshot(settings, run.fingerprint)


def _skills(
    rows: pd.DataFrame, past: pd.DataFrame | None, label: str, at: datetime, days: int
) -> tuple[WindowSkill, WindowSkill]:
    """The predictor's numbers in the window up to `at` and in the one before."""
    answers = {}
    if past is not None:
        answers = baselines.answers(split.temporal_split(past).train, rows)
    predicted = rows[drift.PREDICTION].to_numpy(dtype="float64")
    length = timedelta(days=days)
    window, earlier = (
        skill.measure(rows, predicted, answers, label, start_at=end - length, end_at=end)
        for end in (at, at - length)
    )
    return window, earlier


def _promoted_skill(warehouse: Warehouse, champion: ModelVersion) -> float | None:
    """The skill that the champion had when it was evaluated."""
    return next(
        (
            row["skill"]
            for row in evaluations.read_evaluation(warehouse, champion.training_run_id)
            if row["candidate"] == champion.label
        ),
        None,
    )


def _verdict(
    state: MonitorState,
    window: WindowSkill | None,
    found: Drift | None,
    decision: RetrainDecision,
    rules: RetrainPolicy,
) -> str:
    if not state.has_champion:
        return NO_CHAMPION
    if window is None or not window.is_enough:
        return TOO_FEW
    if any(reason.holds for reason in decision.reasons if reason.rule == policy.SKILL):
        return SKILL_ALARM
    if has_drift(found.score if found else None, rules):
        return DRIFT
    return OK


def _details(
    window: WindowSkill | None,
    earlier: WindowSkill | None,
    found: Drift | None,
    decision: RetrainDecision,
    changes: tuple[dict[str, Any], ...],
) -> dict[str, Any]:
    """What the columns of the log have no place for."""
    against = window.against if window else None
    return {
        "decision": decision.sentence,
        "reasons": [vars(reason) for reason in decision.reasons],
        "rows": window.rows if window else 0,
        "baseline": against.reference if against else None,
        "skill_low": against.low if against and window and window.is_enough else None,
        "skill_high": against.high if against and window and window.is_enough else None,
        "earlier_skill": earlier.skill if earlier else None,
        "reference_rows": found.reference_rows if found else None,
        "domain_auc": found.auc if found else None,
        "no_drift_score_because": found.too_few if found else "nothing to compare with",
        "beyond": [
            {
                "column": one.column,
                "statistic": one.statistic,
                "value": one.value,
                "threshold": one.threshold,
            }
            for one in (found.beyond if found else ())
        ],
        "runway_changes": [
            {**change, "changed_at": change["changed_at"].isoformat()} for change in changes
        ],
    }
