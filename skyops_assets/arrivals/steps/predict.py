"""Predicts crossings and records their outcomes: `ml.predictions`, `ml.prediction_outcomes`."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import scoring
from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.learning import baselines, fit, onnx_model, split
from skyops_assets.arrivals.models import export, graphs, registry
from skyops_assets.arrivals.store import (
    evaluations,
    inputs,
    predictions,
    training,
    versions,
)
from skyops_assets.arrivals.store.training import TrainingRun
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LIVE = timedelta(days=1)
"""How far back a crossing is that is predicted as positions come."""


@dataclass(frozen=True)
class PredictionSummary:
    """What `predict_crossings` predicted with; `store_problem` as of `export.export_champion`."""

    model_name: str
    model_version: str
    is_champion: bool
    baseline: str | None
    crossings: int
    by_source: dict[str, int]
    new_predictions: int
    unanswered: int
    in_sample: int
    store_problem: str | None


@dataclass(frozen=True)
class OutcomeSummary:
    """How predictions fared. MAE and bias (minutes) are of landed, out-of-sample, observed ones.

    `label_coverage` is the share of those predictions whose outcome is known that are older than
    the longest transit (`scoring.LONGEST_TRANSIT_MIN`) at the end of their source's data.
    """

    predictions: int
    changed: int
    counts: dict[str, int]
    resolved_share: float | None
    label_coverage: float | None
    out_of_sample_landed: int
    mae_min: float | None
    bias_min: float | None
    by_model: dict[str, dict[str, float | int | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class InForce:
    """What predicts at present, and the baseline that each prediction is told beside."""

    predictor: scoring.Predictor
    baseline: tuple[str, baselines.Baseline] | None


def in_force(
    warehouse: Warehouse, settings: Settings, *, ring_nm: int = RING_NM, by_onnx: bool = False
) -> InForce:
    """Load what predicts at present, as `predictor_in_force`.

    Raises:
        SkyOpsError: the champion cannot be loaded.
    """
    predictor = predictor_in_force(warehouse, settings, ring_nm=ring_nm, by_onnx=by_onnx)
    run = training.training_run(warehouse, predictor.training_run_id or "")
    baseline = None
    if run:
        with suppress(training.SnapshotLost):  # A champion predicts without it.
            baseline = _reference_baseline(warehouse, settings, run)
    return InForce(predictor, baseline)


class LivePredictions:
    """Predicts a ring's crossings as they come; what predicts is loaded when it is another.

    A champion is asked as ONNX. Crossings of more than a day before the newest, those of the open
    history, and the model store are left to the hourly run: a pass costs what is new.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings, *, ring_nm: int = RING_NM) -> None:
        self._warehouse, self._settings, self._ring_nm = warehouse, settings, ring_nm
        self._loaded: InForce | None = None
        self._loaded_of: tuple[str | None, str | None] | None = None

    def predict(self) -> PredictionSummary:
        """Predict what is new.

        Raises:
            SkyOpsError: the features table is missing, or the champion cannot be loaded.
        """
        name = versions.model_name(self._ring_nm)
        champion = versions.champion(self._warehouse, name)
        run = training.latest_training_run(self._warehouse, name)
        wanted = (champion.version if champion else None, run.training_run_id if run else None)
        if self._loaded_of != wanted:
            self._loaded = in_force(
                self._warehouse, self._settings, ring_nm=self._ring_nm, by_onnx=True
            )
            self._loaded_of = wanted
        assert self._loaded is not None
        return _predict(
            self._warehouse, self._settings, self._loaded, ring_nm=self._ring_nm, recent=LIVE
        )


def predict_crossings(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    as_of: datetime | None = None,
    with_probability: bool = True,
) -> PredictionSummary:
    """Predict every crossing that the predictor in force has not predicted yet.

    Our own crossings all; those of the open history at watched airports, as far as the predictor
    has not learned from their time. With `as_of` only crossings known by then.

    Args:
        with_probability: say too how likely each flight lands there; no evaluation asks for it.

    Raises:
        SkyOpsError: the features table is missing, or the champion cannot be loaded.
    """
    graphs.fill_in(warehouse, settings)
    using = in_force(warehouse, settings, ring_nm=ring_nm)
    made = _predict(
        warehouse,
        settings,
        using,
        ring_nm=ring_nm,
        as_of=as_of,
        with_probability=with_probability,
    )
    problem = export.export_champion(warehouse, settings, versions.model_name(ring_nm))
    return replace(made, store_problem=problem)


def _predict(
    warehouse: Warehouse,
    settings: Settings,
    using: InForce,
    *,
    ring_nm: int,
    as_of: datetime | None = None,
    recent: timedelta | None = None,
    with_probability: bool = True,
) -> PredictionSummary:
    predictor, baseline = using.predictor, using.baseline
    crossings = inputs.read_unpredicted_crossings(
        warehouse,
        ring_nm,
        predictor.name,
        predictor.version,
        airports=settings.watch_airports,
        history_after=predictor.trained_through_at,
        as_of=as_of,
        recent=recent,
    )
    rows = scoring.score(crossings, predictor)
    rows["baseline"] = baseline and baseline[0]
    rows["baseline_transit_min"] = baseline[1].predict(crossings) if baseline else None
    if with_probability:
        rows["landing_probability"] = inputs.landing_probabilities(warehouse, rows, ring_nm)
    added = predictions.save_predictions(warehouse, rows)
    return PredictionSummary(
        model_name=predictor.name,
        model_version=predictor.version,
        is_champion=not predictor.name.startswith(baselines.PREFIX),
        baseline=baseline and baseline[0],
        crossings=len(rows),
        by_source=dict(Counter(rows["source"])),
        new_predictions=added,
        unanswered=int(rows["predicted_transit_min"].isna().sum()),
        in_sample=int(rows["is_in_sample"].sum()),
        store_problem=None,
    )


def predictor_in_force(
    warehouse: Warehouse, settings: Settings, *, ring_nm: int = RING_NM, by_onnx: bool = False
) -> scoring.Predictor:
    """The champion; without one the best baseline of the latest training run.

    Without a measured baseline it is the one that needs no training. MLflow is imported only
    where there is a champion.

    Args:
        by_onnx: ask the champion's ONNX graph, which answers within about 0.00001 minutes of the
            pipeline (at most 0.001, or it was not promoted); the pipeline where it has no graph.

    Raises:
        SkyOpsError: the champion cannot be loaded, or the training rows are gone.
    """
    name = versions.model_name(ring_nm)
    champion = versions.champion(warehouse, name)
    if champion and by_onnx:
        with suppress(SkyOpsError):  # It may be older than its graph, and predicts all the same.
            ask = onnx_model.load(registry.onnx_of(warehouse, settings, champion))

            def bounds(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
                _, *found = ask(frame).values()
                return (found[0], found[1]) if found else None

            return scoring.Predictor(
                name,
                champion.version,
                champion.trained_through_at,
                lambda frame: ask(frame)[fit.OUTPUTS[0]],
                champion.training_run_id,
                bounds,
            )
    if champion:
        client = registry.configure(warehouse, settings)
        model = registry.load(client, name, champion.version, champion.mlflow_run_id)
        return scoring.Predictor(
            name,
            champion.version,
            champion.trained_through_at,
            lambda frame: fit.predict(model, frame),
            champion.training_run_id,
            lambda frame: fit.predict_interval(model, frame),
        )
    run = training.latest_training_run(warehouse, name)
    if run is None:
        untrained = baselines.PREFIX + baselines.UNTRAINED
        return scoring.Predictor(untrained, "untrained", None, baselines.DistanceSpeed().predict)
    best, fitted = _reference_baseline(warehouse, settings, run)
    return scoring.Predictor(
        best, run.training_run_id, run.trained_through_at, fitted.predict, run.training_run_id
    )


def _reference_baseline(
    warehouse: Warehouse, settings: Settings, run: TrainingRun
) -> tuple[str, baselines.Baseline]:
    """Name and baseline that was best where a model was evaluated, fitted on the model's past.

    Where nothing was evaluated it is the one that needs no training.

    Raises:
        store.SnapshotLost: its rows are gone.
    """
    parts = split.temporal_split(training.read_snapshot(settings, run.fingerprint), run.train_share)
    evaluated = evaluations.read_evaluation(warehouse, run.training_run_id)
    best = next(
        (row["candidate"] for row in evaluated if row["is_reference"]),
        baselines.PREFIX + baselines.UNTRAINED,
    )
    name = best.removeprefix(baselines.PREFIX)
    if evaluated:
        known = {"name": name, **baselines.medians(parts.train)}
        evaluations.keep_baseline(warehouse, run.training_run_id, known, if_none=True)
    return best, baselines.fit_baselines(parts.train)[name]


def record_outcomes(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    as_of: datetime | None = None,
) -> OutcomeSummary:
    """Join every prediction to what happened, and write what is new or changed.

    With `as_of` only landings known by then count.

    Raises:
        SkyOpsError: the tables of flights, movements or arrivals are missing.
    """
    import pandas as pd

    given = predictions.read_predictions(warehouse, ring_nm)
    parts, due = [], pd.Series(False, index=given.index)
    for source in (inputs.POSITIONS, inputs.HISTORY):
        landings = inputs.read_landings(warehouse, source, ring_nm, as_of=as_of)
        flights = (
            inputs.read_flights(warehouse, as_of=as_of)
            if source == inputs.POSITIONS
            # All that is known of the history's flights is that they landed.
            else landings.rename(columns={"landed_at": "last_seen_at"})
        )
        asked = given[given["source"] == source]
        parts.append(scoring.outcomes(asked, landings, flights).set_index(asked.index))
        through = pd.Timestamp(as_of or flights["last_seen_at"].max())
        longest = pd.Timedelta(minutes=scoring.LONGEST_TRANSIT_MIN)
        due[asked.index] = through - asked["crossed_at"] > longest
    rows = pd.concat(parts).sort_index()
    changed = predictions.save_outcomes(warehouse, rows)
    counts = {
        name: int((rows["outcome"] == name).sum())
        for name in (scoring.LANDED, scoring.LANDED_ELSEWHERE, scoring.NOT_LANDED, scoring.PENDING)
    }
    is_fair = ~given["is_in_sample"].astype(bool) & rows["error_min"].notna()
    if not settings.learn_from_simulated and is_fair.any():
        simulated = inputs.simulated_flights(warehouse, ring_nm, as_of=as_of)
        is_fair &= (given["source"] != inputs.POSITIONS) | ~rows["flight_id"].isin(simulated)
    fair = rows[is_fair]
    by_model = {
        f"{name}:{version}": _errors(group)
        for (name, version), group in fair.groupby(["model_name", "model_version"])
    }
    overall = _errors(fair)
    return OutcomeSummary(
        predictions=len(rows),
        changed=changed,
        counts=counts,
        resolved_share=1 - counts[scoring.PENDING] / len(rows) if len(rows) else None,
        label_coverage=float((rows["outcome"] != scoring.PENDING)[due].mean())
        if due.any()
        else None,
        out_of_sample_landed=len(fair),
        mae_min=overall["mae_min"],
        bias_min=overall["bias_min"],
        by_model=by_model,
    )


def _errors(rows: pd.DataFrame) -> dict[str, Any]:
    if not len(rows):
        return {"landed": 0, "mae_min": None, "bias_min": None}
    return {
        "landed": len(rows),
        "mae_min": float(rows["error_min"].abs().mean()),
        "bias_min": float(rows["error_min"].mean()),
    }
