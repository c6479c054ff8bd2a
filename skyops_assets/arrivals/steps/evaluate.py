"""Evaluates the challenger beside the champion and the baselines: `ml.evaluations`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.arrivals.evaluation import metrics as evaluate
from skyops_assets.arrivals.evaluation import report, sanity, slices
from skyops_assets.arrivals.evaluation.metrics import Comparison, Metrics
from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.learning import baselines, fit, recipes, split
from skyops_assets.arrivals.models import card, probe, registry
from skyops_assets.arrivals.steps import judge
from skyops_assets.arrivals.store import (
    evaluations,
    inputs,
    training,
    versions,
)
from skyops_assets.arrivals.store.training import TrainingRun
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class EvaluationSummary:
    """What `evaluate_challenger` measured; None is what could not be computed.

    `against_baseline` is skill, `against_champion` the gain. `importance_min` is the rise of
    the MAE per feature group. `images` maps file names (``residuals.png`` ...) to PNG bytes.
    """

    training_run_id: str
    candidate: str | None
    test_rows: int
    scored_rows: int
    metrics: Metrics
    interval_coverage: float | None
    interval_width_min: float | None
    against_baseline: Comparison | None
    against_champion: Comparison | None
    reference: str | None
    reference_mae_min: float | None
    importance_min: dict[str, float]
    images: dict[str, bytes]
    markdown: str
    slices_markdown: str | None

    @property
    def numbers(self) -> dict[str, float | None]:
        """The challenger's numbers in one flat table."""
        skill, gain = self.against_baseline, self.against_champion
        return {
            "mae_min": self.metrics.mae_min,
            "rmse_min": self.metrics.rmse_min,
            "r2": self.metrics.r2,
            "bias_min": self.metrics.bias_min,
            "p90_min": self.metrics.p90_min,
            "within_1min_share": self.metrics.within_1min_share,
            "within_2min_share": self.metrics.within_2min_share,
            "interval_coverage": self.interval_coverage,
            "interval_width_min": self.interval_width_min,
            "skill": skill.skill if skill else None,
            "skill_low": skill.low if skill else None,
            "skill_high": skill.high if skill else None,
            "reference_mae_min": self.reference_mae_min,
            "champion_gain": gain.skill if gain else None,
            "champion_gain_low": gain.low if gain else None,
            "champion_gain_high": gain.high if gain else None,
        }


def evaluate_challenger(
    warehouse: Warehouse, settings: Settings, *, ring_nm: int = RING_NM
) -> EvaluationSummary:
    """Measure the latest challenger, the champion and every baseline on the same test rows.

    All that the gatekeeper looks at is measured here, once, and stored.

    Raises:
        SkyOpsError: nothing was trained, or a model or its rows are gone.
    """
    run = judge.latest_run(warehouse, ring_nm)
    challenger = versions.version_of(warehouse, run.training_run_id)
    if challenger is None:
        return _evaluate(warehouse, settings, run, None, None)
    running = probe.start(warehouse, settings, challenger)
    try:
        return _evaluate(warehouse, settings, run, challenger, running)
    finally:
        running.stop()


def _evaluate(
    warehouse: Warehouse,
    settings: Settings,
    run: TrainingRun,
    challenger: ModelVersion | None,
    running: probe.Running | None,
) -> EvaluationSummary:
    rows = training.read_snapshot(
        settings, run.fingerprint, challenger.label if challenger else None
    )
    parts = split.temporal_split(rows, run.train_share)
    test = parts.test
    champion = versions.champion(warehouse, run.model_name)
    if champion and challenger and champion.version == challenger.version:
        champion = None  # No model is measured against itself.
    client = registry.configure(warehouse, settings) if challenger or champion else None
    models = {
        version.label: registry.load(
            client, version.model_name, version.version, version.mlflow_run_id
        )
        for version in (challenger, champion)
        if version and client
    }
    minutes = {label: fit.predict(model, test) for label, model in models.items()}
    answers = baselines.answers(parts.train, test)
    result = evaluate.evaluate(
        test,
        answers,
        challenger=(challenger.label, minutes[challenger.label]) if challenger else None,
        champion=(champion.label, minutes[champion.label]) if champion else None,
        champion_trained_through_at=champion.trained_through_at if champion else None,
        intervals=fit.predict_interval(models[challenger.label], test) if challenger else None,
        slices=slices.slices(parts.train, test, inputs.schedule_delays(warehouse)),
    )
    importance: dict[str, float] = {}
    if challenger and running:
        model = models[challenger.label]

        def ask(frame: pd.DataFrame) -> np.ndarray:
            return fit.predict(model, frame)

        importance = evaluate.group_importance(ask, test)
        recipe = recipes.Recipe(run.recipe, run.params)
        found = sanity.run_sanity_checks(
            ask,
            run.features,
            importance=importance,
            train_rows=parts.train,
            test_rows=test,
            recipe=recipe,
        )
        evaluations.save_evidence(warehouse, challenger, running.result(), found)
    evaluations.save_evaluation(warehouse, run.training_run_id, result, importance)
    best_name = (result.reference or baselines.UNTRAINED).removeprefix(baselines.PREFIX)
    known = {"name": best_name, **baselines.medians(parts.train)}
    evaluations.keep_baseline(warehouse, run.training_run_id, known)
    images = report.evaluation_images(result, test, minutes | answers, importance)
    text, by_slice = report.evaluation_markdown(result), report.slices_markdown(result)
    own = result.score("challenger")
    best = next((s for s in result.scores if s.candidate == result.reference), None)
    summary = EvaluationSummary(
        training_run_id=run.training_run_id,
        candidate=own.candidate if own else None,
        test_rows=result.test_rows,
        scored_rows=result.scored_rows,
        metrics=own.metrics if own else evaluate.NOT_MEASURED,
        interval_coverage=own.interval_coverage if own else None,
        interval_width_min=own.interval_width_min if own else None,
        against_baseline=own.against_baseline if own else None,
        against_champion=result.against_champion,
        reference=result.reference,
        reference_mae_min=best.metrics.mae_min if best else None,
        importance_min=importance,
        images=images,
        markdown=text,
        slices_markdown=by_slice,
    )
    if challenger and client:
        texts = {"evaluation.md": text} | ({"slices.md": by_slice} if by_slice else {})
        registry.log_evaluation(
            client,
            challenger.mlflow_run_id,
            {f"test_{name}": value for name, value in summary.numbers.items()},
            images,
            texts,
        )
        card.publish(warehouse, client, challenger)
    return summary
