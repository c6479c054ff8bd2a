"""The model loop, one function per asset; they meet in Postgres and MLflow only.

Belongs here: the order of reading, computing and writing, and what a step tells about itself.
Does not: rules or formulas (the modules beside), Dagster. Each step works alone and may be
repeated: it takes the latest state from the warehouse and leaves a complete one.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import (
    baselines,
    card,
    champions,
    evaluate,
    explain,
    features,
    interval,
    judge,
    logic,
    model_store,
    onnx_model,
    predict,
    probe,
    recipes,
    registry,
    slices,
    split,
    train,
)
from skyops_assets.arrivals.evaluate import Comparison, Metrics
from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.gatekeeper import Decision, GatePolicy, Reason
from skyops_assets.arrivals.store import (
    decisions,
    evaluations,
    inputs,
    predictions,
    training,
    versions,
)
from skyops_assets.arrivals.store.training import TrainingRun, TrainingSet
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.audit import log
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.transform.dbt import manifest_fingerprint
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient


@dataclass(frozen=True)
class TrainingSetSummary:
    """What `build_training_set` froze."""

    fingerprint: str
    ring_nm: int
    row_count: int
    excluded: dict[str, int]
    airports: tuple[str, ...]
    crossed_from_at: datetime | None
    crossed_through_at: datetime | None
    dbt_fingerprint: str | None
    features: tuple[str, ...] | None
    snapshot: str
    markdown: str


@dataclass(frozen=True)
class TrainingSummary:
    """What `train_challenger` fitted and registered; no version where it could not."""

    training_run_id: str
    model_name: str
    model_version: str | None
    is_new_version: bool
    untrained_reason: str | None
    mlflow_run_id: str | None
    recipe: str
    fingerprint: str
    train_rows: int
    test_rows: int
    embargoed_rows: int
    shared_flight_rows: int
    trained_from_at: datetime | None
    trained_through_at: datetime | None
    test_from_at: datetime | None
    test_through_at: datetime | None
    train_mae_min: float | None
    absent_features: tuple[str, ...] | None
    search: dict[str, Any] | None
    interval: dict[str, Any] | None
    model_card: str | None


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


@dataclass(frozen=True)
class PromotionSummary:
    """What `decide_promotion` decided, and why; `store_problem` as of `model_store.follow`."""

    training_run_id: str
    challenger_version: str | None
    champion_version: str | None
    is_promoted: bool
    sentence: str
    reasons: tuple[Reason, ...]
    markdown: str
    model_card: str | None
    store_problem: str | None


@dataclass(frozen=True)
class PredictionSummary:
    """What `predict_crossings` predicted with; `store_problem` as of `model_store.follow`."""

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
    the longest transit (`predict.LONGEST_TRANSIT_MIN`) at the end of their source's data.
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


def build_training_set(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    as_of: datetime | None = None,
    dagster_run_id: str | None = None,
) -> TrainingSetSummary:
    """Freeze the arrivals of one ring under their fingerprint; with `as_of` those landed by then.

    Raises:
        SkyOpsError: the features table is missing or not what it is to be.
    """
    is_all = settings.learn_from_simulated
    rows = inputs.read_arrivals(warehouse, ring_nm, as_of=as_of, with_simulated=is_all)
    frame, excluded = features.usable_arrivals(rows)
    if not is_all:
        excluded["simulated flight"] = len(
            inputs.simulated_flights(warehouse, ring_nm, as_of=as_of)
        )
    mark = features.fingerprint(frame, ring_nm)
    path = training.write_snapshot(settings, mark, frame)
    times = frame["crossed_at"]
    training_set = TrainingSet(
        fingerprint=mark,
        ring_nm=ring_nm,
        row_count=len(frame),
        excluded=excluded,
        airports=tuple(sorted(frame["airport"].unique())),
        crossed_from_at=times.min().to_pydatetime() if len(frame) else None,
        crossed_through_at=times.max().to_pydatetime() if len(frame) else None,
        dbt_fingerprint=manifest_fingerprint(),
        features=features.FEATURES,
    )
    training.save_training_set(warehouse, training_set, dagster_run_id)
    return TrainingSetSummary(
        **vars(training_set), snapshot=str(path), markdown=_airports_markdown(frame)
    )


def train_challenger(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    recipe: recipes.Recipe | None = None,
    train_share: float = split.TRAIN_SHARE,
    dagster_run_id: str | None = None,
    code_version: str | None = None,
) -> TrainingSummary:
    """Fit the recipe on the latest training set's past and register it as challenger.

    With too few rows no model is fitted; the training run says so and the step succeeds.
    The same rows, recipe, search and split find the version that is already registered, where it
    loads and still says what is fitted now.

    Args:
        recipe: unset takes that of the settings.

    Raises:
        SkyOpsError: there is no training set or no such recipe, or MLflow and the warehouse
            disagree.
    """
    recipe = recipe or recipes.named(settings.recipe)
    trials = settings.search_trials
    training_set = training.latest_training_set(warehouse, ring_nm)
    rows = training.read_snapshot(settings, training_set.fingerprint)
    parts = split.temporal_split(rows, train_share)
    name = versions.model_name(ring_nm)
    reason = None
    if len(parts.train) < recipe.min_fit_rows:
        reason = (
            f"{len(parts.train)} arrivals to learn from, and {recipe.name} needs "
            f"{recipe.min_fit_rows} to fit anything"
        )
    run = TrainingRun(
        training_run_id=train.identity(training_set.fingerprint, recipe, train_share, trials),
        model_name=name,
        ring_nm=ring_nm,
        recipe=recipe.name,
        fingerprint=training_set.fingerprint,
        features=features.FEATURES,
        params=recipe.params,
        train_share=train_share,
        cut_at=parts.cut_at,
        train_rows=len(parts.train),
        test_rows=len(parts.test),
        embargoed_rows=parts.embargoed_rows,
        shared_flight_rows=parts.shared_flight_rows,
        trained_from_at=parts.trained_from_at,
        trained_through_at=parts.trained_through_at,
        test_from_at=parts.test_from_at,
        test_through_at=parts.test_through_at,
        untrained_reason=reason,
        code_version=code_version,
        absent_features=tuple(
            column for column in features.FEATURES if parts.train[column].isna().all()
        ),
    )
    version, is_new, mae, client = None, False, None, None
    if reason is None:
        client = registry.configure(warehouse, settings)
        champions.follow(warehouse, client, name)
        recipe, found = train.choose(parts.train, recipe, trials)
        model = train.fit(parts.train, recipe)
        run = replace(
            run, params=recipe.params, search=found, interval=interval.record(model.interval_)
        )
        answers = train.answers(model, parts.train)
        mae = evaluate.measure(
            parts.train[features.LABEL].to_numpy(), answers[train.OUTPUTS[0]]
        ).mae_min
        version = versions.version_of(warehouse, run.training_run_id)
        if version:
            try:
                kept = registry.load(client, name, version.version, version.mlflow_run_id)
                if train.apart(train.answers(kept, parts.train), answers) != 0:
                    version = None
            except SkyOpsError:
                version = None
        if version is None:
            is_new = True
            version = _register(
                client,
                settings,
                run,
                model=model,
                train_mae_min=mae,
                parts=parts,
                dbt_fingerprint=training_set.dbt_fingerprint,
                dagster_run_id=dagster_run_id,
            )
        registry.keep_onnx(client, version.mlflow_run_id, onnx_model.export(model))
        registry.set_challenger(client, name, version.version)
    training.save_training_run(warehouse, run, version, dagster_run_id)
    text = card.publish(warehouse, client, version) if client and version else None
    return TrainingSummary(
        model_version=version.version if version else None,
        is_new_version=is_new,
        mlflow_run_id=version.mlflow_run_id if version else None,
        train_mae_min=mae,
        model_card=text,
        **{
            key: value
            for key, value in vars(run).items()
            if key in TrainingSummary.__dataclass_fields__
        },
    )


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
    running = probe.start(warehouse, settings, challenger, run.fingerprint)
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
    parts = split.temporal_split(training.read_snapshot(settings, run.fingerprint), run.train_share)
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
    minutes = {label: train.predict(model, test) for label, model in models.items()}
    answers = baselines.answers(parts.train, test)
    result = evaluate.evaluate(
        test,
        answers,
        challenger=(challenger.label, minutes[challenger.label]) if challenger else None,
        champion=(champion.label, minutes[champion.label]) if champion else None,
        champion_trained_through_at=champion.trained_through_at if champion else None,
        intervals=train.predict_interval(models[challenger.label], test) if challenger else None,
        slices=slices.slices(parts.train, test),
    )
    importance: dict[str, float] = {}
    if challenger and running:
        model = models[challenger.label]

        def ask(frame: pd.DataFrame) -> np.ndarray:
            return train.predict(model, frame)

        importance = evaluate.group_importance(ask, test)
        recipe = recipes.Recipe(run.recipe, run.params)
        found = logic.examine(
            ask,
            run.features,
            importance=importance,
            train_rows=parts.train,
            test_rows=test,
            recipe=recipe,
        )
        evaluations.save_evidence(warehouse, challenger, running.result(), found)
    evaluations.save_evaluation(warehouse, run.training_run_id, result, importance)
    images = explain.evaluation_images(result, test, minutes | answers, importance)
    text, by_slice = explain.evaluation_markdown(result), explain.slices_markdown(result)
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


def judge_challenger(warehouse: Warehouse, *, ring_nm: int = RING_NM) -> Decision:
    """What the gatekeeper says of the latest training run; nothing is written.

    Raises:
        SkyOpsError: nothing was trained.
    """
    return judge.judge(warehouse, ring_nm).decision


def decide_promotion(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    policy: GatePolicy | None = None,
    dagster_run_id: str | None = None,
) -> PromotionSummary:
    """Let the gatekeeper judge the latest training run, record it, and move the champion.

    A challenger that is champion already keeps its decision. One that a person took out of force
    is not promoted again.

    Raises:
        SkyOpsError: nothing was trained.
    """
    try:
        return _decide(warehouse, settings, ring_nm, policy, dagster_run_id)
    except versions.ChampionChanged:
        # A person was quicker; what was measured against the one before no longer counts.
        return _decide(warehouse, settings, ring_nm, policy, dagster_run_id)


def _decide(
    warehouse: Warehouse,
    settings: Settings,
    ring_nm: int,
    policy: GatePolicy | None,
    dagster_run_id: str | None,
) -> PromotionSummary:
    judged = judge.judge(warehouse, ring_nm, policy)
    run, challenger, champion = judged.run, judged.challenger, judged.champion
    decision, in_force = judged.decision, judged.in_force
    if not judged.is_earlier:
        decisions.save_decision(
            warehouse, run, challenger, champion, decision=decision, dagster_run_id=dagster_run_id
        )
    log.record_outcome(
        warehouse,
        run.model_name,
        training_run_id=run.training_run_id,
        is_promoted=decision.is_promoted,
        improvement=judged.gain,
    )
    text = problem = None
    if challenger or champion:
        client = registry.configure(warehouse, settings)
        champions.follow(warehouse, client, run.model_name)
        if challenger:
            text = card.publish(warehouse, client, challenger)
        if champion and decision.is_promoted and not in_force:
            # Its files may be gone; that is no reason to fail, and `skyops model show` needs none.
            with suppress(SkyOpsError):
                card.publish(warehouse, client, champion)
        problem = model_store.follow(warehouse, settings, run.model_name)
    return PromotionSummary(
        training_run_id=run.training_run_id,
        challenger_version=challenger.version if challenger else None,
        champion_version=judged.before,
        is_promoted=decision.is_promoted,
        sentence=decision.sentence,
        reasons=decision.reasons,
        markdown=explain.decision_markdown(decision),
        model_card=text,
        store_problem=problem,
    )


def predict_crossings(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    as_of: datetime | None = None,
) -> PredictionSummary:
    """Predict every crossing that the predictor in force has not predicted yet.

    Our own crossings all; those of the open history at watched airports, as far as the predictor
    has not learned from their time. With `as_of` only crossings known by then.

    Raises:
        SkyOpsError: the features table is missing, or the champion cannot be loaded.
    """
    predictor = predictor_in_force(warehouse, settings, ring_nm=ring_nm)
    crossings = inputs.read_unpredicted_crossings(
        warehouse,
        ring_nm,
        predictor.name,
        predictor.version,
        airports=settings.watch_airports,
        history_after=predictor.trained_through_at,
        as_of=as_of,
    )
    rows = predict.score(crossings, predictor)
    rows["source"] = crossings["source"]
    run = training.training_run(warehouse, predictor.training_run_id or "")
    baseline = None
    if run:
        with suppress(training.SnapshotLost):  # A champion predicts without it.
            baseline = _reference_baseline(warehouse, settings, run)
    rows["baseline"] = baseline and baseline[0]
    rows["baseline_transit_min"] = baseline[1].predict(crossings) if baseline else None
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
        store_problem=model_store.follow(warehouse, settings, versions.model_name(ring_nm)),
    )


def predictor_in_force(
    warehouse: Warehouse, settings: Settings, *, ring_nm: int = RING_NM
) -> predict.Predictor:
    """The champion; without one the best baseline of the latest training run.

    Without a measured baseline it is the one that needs no training. MLflow is imported only
    where there is a champion.

    Raises:
        SkyOpsError: the champion cannot be loaded, or the training rows are gone.
    """
    name = versions.model_name(ring_nm)
    champion = versions.champion(warehouse, name)
    if champion:
        client = registry.configure(warehouse, settings)
        model = registry.load(client, name, champion.version, champion.mlflow_run_id)
        return predict.Predictor(
            name,
            champion.version,
            champion.trained_through_at,
            lambda frame: train.predict(model, frame),
            champion.training_run_id,
            lambda frame: train.predict_interval(model, frame),
        )
    run = training.latest_training_run(warehouse, name)
    if run is None:
        untrained = baselines.PREFIX + baselines.UNTRAINED
        return predict.Predictor(untrained, "untrained", None, baselines.DistanceSpeed().predict)
    best, fitted = _reference_baseline(warehouse, settings, run)
    return predict.Predictor(
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
    best = next(
        (
            row["candidate"]
            for row in evaluations.read_evaluation(warehouse, run.training_run_id)
            if row["is_reference"]
        ),
        baselines.PREFIX + baselines.UNTRAINED,
    )
    return best, baselines.fit_baselines(parts.train)[best.removeprefix(baselines.PREFIX)]


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
        parts.append(predict.outcomes(asked, landings, flights).set_index(asked.index))
        through = pd.Timestamp(as_of or flights["last_seen_at"].max())
        longest = pd.Timedelta(minutes=predict.LONGEST_TRANSIT_MIN)
        due[asked.index] = through - asked["crossed_at"] > longest
    rows = pd.concat(parts).sort_index()
    changed = predictions.save_outcomes(warehouse, rows)
    counts = {
        name: int((rows["outcome"] == name).sum())
        for name in (predict.LANDED, predict.LANDED_ELSEWHERE, predict.NOT_LANDED, predict.PENDING)
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
        resolved_share=1 - counts[predict.PENDING] / len(rows) if len(rows) else None,
        label_coverage=float((rows["outcome"] != predict.PENDING)[due].mean())
        if due.any()
        else None,
        out_of_sample_landed=len(fair),
        mae_min=overall["mae_min"],
        bias_min=overall["bias_min"],
        by_model=by_model,
    )


def _register(
    client: MlflowClient,
    settings: Settings,
    run: TrainingRun,
    *,
    model: Any,
    train_mae_min: float | None,
    parts: split.Split,
    dbt_fingerprint: str | None,
    dagster_run_id: str | None,
) -> ModelVersion:
    tags = {
        "training_run_id": run.training_run_id,
        "fingerprint": run.fingerprint,
        "recipe": run.recipe,
        "ring_nm": str(run.ring_nm),
        "trained_from_at": str(run.trained_from_at),
        "trained_through_at": str(run.trained_through_at),
        "dagster_run_id": dagster_run_id or "",
        "code_version": run.code_version or "",
    }
    numbers = {"train_rows": float(run.train_rows), "test_rows": float(run.test_rows)}
    if train_mae_min is not None:
        numbers["train_mae_min"] = train_mae_min
    if run.interval:
        numbers["interval_correction_min"] = run.interval["correction_min"]
    registered = registry.log_training(
        client,
        name=run.model_name,
        model=model,
        params={"recipe": run.recipe, "train_share": run.train_share, **run.params},
        metrics=numbers,
        tags=tags,
        files={"search.json": run.search, "interval.json": run.interval},
        train=parts.train,
        snapshot=training.snapshot_path(settings, run.fingerprint),
        # A tag of a dataset holds 500 characters: the features by group.
        dataset_tags={
            "fingerprint": run.fingerprint,
            "dbt_fingerprint": dbt_fingerprint or "",
            "reference_from_at": str(run.trained_from_at),
            "reference_through_at": str(run.trained_through_at),
            "current_from_at": str(run.test_from_at),
            "current_through_at": str(run.test_through_at),
            **{f"features/{group}": ", ".join(n) for group, n in features.FEATURE_GROUPS.items()},
        },
    )
    return ModelVersion(
        model_name=run.model_name,
        version=registered.version,
        training_run_id=run.training_run_id,
        fingerprint=run.fingerprint,
        mlflow_run_id=registered.mlflow_run_id,
        is_champion=False,
        trained_through_at=run.trained_through_at,
    )


def _errors(rows: pd.DataFrame) -> dict[str, Any]:
    if not len(rows):
        return {"landed": 0, "mae_min": None, "bias_min": None}
    return {
        "landed": len(rows),
        "mae_min": float(rows["error_min"].abs().mean()),
        "bias_min": float(rows["error_min"].mean()),
    }


def _airports_markdown(frame: pd.DataFrame) -> str:
    counts = Counter(frame["airport"])
    lines = ["| airport | arrivals | median transit (min) |", "|---|---|---|"]
    for airport, number in sorted(counts.items()):
        median = frame.loc[frame["airport"] == airport, features.LABEL].median()
        lines.append(f"| {airport} | {number} | {median:.1f} |")
    return "\n".join([explain.baseline_labels(frame), "", *lines])
