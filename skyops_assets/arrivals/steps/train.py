"""Builds the training set and trains the challenger: `ml.training_sets`, `ml.training_runs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import features
from skyops_assets.arrivals.evaluation import metrics, report
from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.learning import fit, interval, onnx_model, recipes, split
from skyops_assets.arrivals.models import card, champions, graphs, registry
from skyops_assets.arrivals.store import (
    inputs,
    training,
    versions,
)
from skyops_assets.arrivals.store.training import TrainingRun, TrainingSet
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.reporting.markdown import table
from skyops_assets.settings import Settings
from skyops_assets.transform.dbt import manifest_fingerprint
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class TrainingSetSummary(TrainingSet):
    """What `build_training_set` froze: the row, where its rows lie, and its airports as a table."""

    snapshot: str
    markdown: str


@dataclass(frozen=True)
class Choice:
    """Which arrivals a person wants a training set of; what is not set chooses nothing."""

    airports: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, airports: Sequence[str], since: str | None, until: str | None) -> Choice:
        """A choice as a run's config writes it.

        Raises:
            SkyOpsError: a time is none, or has no time zone, or is not before the other.
        """
        times = []
        for name, text in (("since", since), ("until", until)):
            try:
                at = None if text is None else datetime.fromisoformat(text)
            except ValueError:
                at = None
            if text is not None and (at is None or at.tzinfo is None):
                raise SkyOpsError(
                    f"{name} is {text!r}; a time looks like 2021-10-07T12:00:00+00:00."
                )
            times.append(at)
        first, end = times
        if first and end and first >= end:
            raise SkyOpsError(f"since ({since}) is not before until ({until}).")
        codes = sorted({code.upper() for code in airports})
        return cls(tuple(codes), first, end)

    @property
    def text(self) -> str | None:
        """In words, such as "LFPG and LFPO, from 2021-10-07 00:00 UTC"; None for everything."""
        parts = [" and ".join(self.airports)] if self.airports else []
        for word, at in (("from", self.since), ("before", self.until)):
            if at:
                parts.append(f"{word} {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
        return ", ".join(parts) or None


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


EVERYTHING = Choice()


def build_training_set(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    choice: Choice = EVERYTHING,
    as_of: datetime | None = None,
    dagster_run_id: str | None = None,
) -> TrainingSetSummary:
    """Freeze the arrivals of one ring under their fingerprint; with `as_of` those landed by then.

    Raises:
        SkyOpsError: the features table is missing or not what it is to be.
    """
    is_all = settings.learn_from_simulated
    rows = inputs.read_arrivals(
        warehouse,
        ring_nm,
        since=choice.since,
        until=choice.until,
        airports=choice.airports,
        as_of=as_of,
        with_simulated=is_all,
    )
    frame, excluded = features.usable_arrivals(rows)
    if not is_all:
        excluded["simulated flight"] = len(
            inputs.simulated_flights(warehouse, ring_nm, as_of=as_of)
        )
    if untested := inputs.untested_arrivals(warehouse, ring_nm, as_of=as_of):
        excluded["not tested yet"] = untested
    if left_out := inputs.arrivals_left_out(warehouse, ring_nm, as_of=as_of):
        excluded["left out by a person"] = left_out
    mark = features.fingerprint(frame, ring_nm)
    snapshot = training.write_snapshot(settings, mark, frame)
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
        chosen=choice.text,
    )
    training.save_training_set(warehouse, training_set, dagster_run_id)
    return TrainingSetSummary(
        **vars(training_set), snapshot=snapshot, markdown=_airports_markdown(frame)
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
            f"{len(parts.train)} arrivals to learn from; {recipe.name} needs "
            f"{recipe.min_fit_rows} to be fitted"
        )
    run = TrainingRun(
        training_run_id=fit.identity(training_set.fingerprint, recipe, train_share, trials),
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
    version, is_new, mae, client, content = None, False, None, None, b""
    if reason is None:
        client = registry.configure(warehouse, settings)
        champions.sync_alias(warehouse, client, name)
        recipe, found = fit.choose(parts.train, recipe, trials)
        model = fit.fit(parts.train, recipe)
        run = replace(
            run, params=recipe.params, search=found, interval=interval.record(model.interval_)
        )
        answers = fit.predict_all(model, parts.train)
        mae = metrics.measure(
            parts.train[features.LABEL].to_numpy(), answers[fit.OUTPUTS[0]]
        ).mae_min
        version = versions.version_of(warehouse, run.training_run_id)
        if version:
            try:
                kept = registry.load(client, name, version.version, version.mlflow_run_id)
                if fit.max_abs_difference(fit.predict_all(kept, parts.train), answers) != 0:
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
        content = onnx_model.export(model)
        registry.keep_onnx(client, version.mlflow_run_id, content)
        registry.set_challenger(client, name, version.version)
    training.save_training_run(warehouse, run, version, dagster_run_id)
    if version:
        graphs.keep(warehouse, version, content, parts.train)
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
        registry.ENV: settings.env,
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
        snapshot=training.snapshot_address(settings, run.fingerprint),
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


def _airports_markdown(frame: pd.DataFrame) -> str:
    counts = Counter(frame["airport"])
    medians = frame.groupby("airport", observed=True)[features.LABEL].median()
    lines = table(
        ("airport", "arrivals", "median transit (min)"),
        ((code, count, f"{medians[code]:.1f}") for code, count in sorted(counts.items())),
    )
    return f"{report.baseline_labels(frame)}\n\n{lines}"
