"""The model's rows in Postgres: features in, and every ``ml.`` table in and out.

Belongs here: SQL of the ``ml`` schema and of ``audit.champion_changes``, each write one
transaction that may be repeated. Does not: deciding what to write (`steps`, `champions`), MLflow
(`registry`), or any feature logic (dbt).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import (
    ARRIVALS_TABLE,
    CROSSINGS_TABLE,
    FEATURES,
    HISTORY_CROSSINGS_TABLE,
    KEY,
    PROVISIONAL,
    arrival_columns,
    canonical_arrivals,
    canonical_crossings,
    crossing_columns,
    text_columns,
)
from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing
from skyops_assets.settings import Settings
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.arrivals.evaluate import Evaluation
    from skyops_assets.arrivals.gatekeeper import Decision
    from skyops_assets.arrivals.logic import Logic
    from skyops_assets.arrivals.probe import Probe

FLIGHTS_TABLE = "metrics.fct_flights"
MOVEMENTS_TABLE = "metrics.fct_movements"
HISTORY_ARRIVALS_TABLE = "metrics.fct_arrivals"
POSITIONS, HISTORY = "positions", "history"
HISTORY_DAYS = 31
"""So much of the open history a predictor that was never trained predicts: nothing of it is in
sample, and years of it would tell no more."""
_PREDICTION_KEY = ("flight_id", "airport", "ring_nm", "model_name", "model_version")


@dataclass(frozen=True)
class TrainingSet:
    """A row of ``ml.training_sets``."""

    fingerprint: str
    ring_nm: int
    row_count: int
    excluded: dict[str, int]
    airports: tuple[str, ...]
    crossed_from_at: datetime | None
    crossed_through_at: datetime | None
    dbt_fingerprint: str | None = None
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TrainingRun:
    """A row of ``ml.training_runs``."""

    training_run_id: str
    model_name: str
    ring_nm: int
    recipe: str
    fingerprint: str
    features: tuple[str, ...]
    params: dict[str, Any]
    train_share: float
    cut_at: datetime | None
    train_rows: int
    test_rows: int
    embargoed_rows: int
    shared_flight_rows: int
    trained_from_at: datetime | None
    trained_through_at: datetime | None
    test_from_at: datetime | None
    test_through_at: datetime | None
    untrained_reason: str | None
    code_version: str | None
    absent_features: tuple[str, ...] | None = None
    search: dict[str, Any] | None = None
    interval: dict[str, Any] | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A row of ``ml.model_versions``, with the window of its training run."""

    model_name: str
    version: str
    training_run_id: str
    fingerprint: str
    mlflow_run_id: str
    is_champion: bool
    trained_through_at: datetime | None

    @property
    def label(self) -> str:
        """How evaluations and decisions call it, such as ``arrival-transit-40nm:3``."""
        return f"{self.model_name}:{self.version}"


class SnapshotLost(SkyOpsError):
    """The rows of a training set are gone or broken."""


class ChampionChanged(SkyOpsError):
    """Someone else changed the champion since it was read; nothing was written."""


@dataclass(frozen=True)
class ChampionChange:
    """A row of ``audit.champion_changes``; the MLflow runs name the models for good."""

    change_id: int
    changed_at: datetime
    model_name: str
    action: str
    is_by_hand: bool
    from_version: str | None
    to_version: str
    from_mlflow_run_id: str | None
    to_mlflow_run_id: str
    actor: str
    reason: str
    decision_id: int | None


def snapshot_path(settings: Settings, fingerprint: str) -> Path:
    """Where the rows of a training set lie."""
    return settings.home / "training" / f"{fingerprint}.parquet"


def read_arrivals(
    warehouse: Warehouse,
    ring_nm: int,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    with_simulated: bool = False,
) -> pd.DataFrame:
    """Canonical rows of ``features.arrival_features`` for one ring.

    Args:
        since: only those that crossed at or after it.
        as_of: only those that landed before it.
        with_simulated: also flights with any simulated position (SKYOPS_LEARN_FROM_SIMULATED).
    """
    condition = f"ring_nm = {ring_nm:d}" + _before("landed_at", as_of)
    condition += _before("crossed_at", since, ">=") + _observed(with_simulated)
    return canonical_arrivals(_read(warehouse, ARRIVALS_TABLE, arrival_columns(), condition))


def simulated_flights(
    warehouse: Warehouse, ring_nm: int, *, as_of: datetime | None = None
) -> frozenset[str]:
    """Flights with any simulated position that arrived through a ring; with `as_of` by then."""
    rows = _all(
        warehouse,
        f"select distinct flight_id::text as flight_id from {ARRIVALS_TABLE}"
        f" where is_simulated and ring_nm = {ring_nm:d}" + _before("landed_at", as_of),
        {},
    )
    return frozenset(row["flight_id"] for row in rows)


def read_unpredicted_crossings(
    warehouse: Warehouse,
    ring_nm: int,
    model_name: str,
    model_version: str,
    *,
    airports: Sequence[str],
    history_after: datetime | None,
    as_of: datetime | None = None,
) -> pd.DataFrame:
    """Canonical crossings that this version has not predicted, each with its `source`.

    Args:
        airports: whose crossings of the open history count; of our own all do.
        history_after: how far back the open history is read, exclusive; None reads the last
            `HISTORY_DAYS` of it.
        as_of: only crossings known by then.
    """
    import pandas as pd

    condition = f"""ring_nm = {ring_nm:d} and not exists (
        select from ml.predictions p
        where p.flight_id = t.flight_id::text and p.airport = t.airport::text
            and p.ring_nm = {ring_nm:d}
            and p.model_name = {_quoted(model_name)} and p.model_version = {_quoted(model_version)}
    ){_before("known_at", as_of, "<=")}"""
    watched = f"airport::text in ({', '.join(map(_quoted, airports))})"
    since = (
        f"{_quoted(history_after.isoformat())}::timestamptz"
        if history_after
        else f"""(
        select max(crossed_at) - interval '{HISTORY_DAYS} days' from {HISTORY_CROSSINGS_TABLE}
        where ring_nm = {ring_nm:d} and {watched}{_before("known_at", as_of, "<=")}
    )"""
    )
    parts = [
        _read(warehouse, table, crossing_columns(), f"{condition}{more}").assign(source=source)
        for source, table, more in (
            (POSITIONS, CROSSINGS_TABLE, ""),
            (HISTORY, HISTORY_CROSSINGS_TABLE, f" and {watched} and crossed_at > {since}"),
        )
    ]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return canonical_crossings(frame).merge(frame[[*KEY, "source"]], on=list(KEY), how="left")


def write_snapshot(settings: Settings, fingerprint: str, frame: pd.DataFrame) -> Path:
    """Keep the rows of a training set; content-addressed, so writing twice is the same.

    Written also where there is a file, which may be a broken one.
    """
    path = snapshot_path(settings, fingerprint)
    with replacing(path) as part:
        frame.to_parquet(part, index=False)
    return path


def read_snapshot(settings: Settings, fingerprint: str) -> pd.DataFrame:
    """The rows of a training set, canonical; a feature that came after it was frozen is missing.

    Raises:
        SnapshotLost: the file is gone or broken.
    """
    import pandas as pd
    import pyarrow

    path = snapshot_path(settings, fingerprint)
    try:
        frame = pd.read_parquet(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise SnapshotLost(
            f"The rows of the training set {fingerprint[:12]} cannot be read from {path} "
            f"({type(error).__name__}: {error}). Build the training set again (materialise "
            "ml/training_sets; the same rows give the same file), or point SKYOPS_HOME at the "
            "folder that holds it."
        ) from error
    later = [name for name in FEATURES if name not in frame.columns]
    return canonical_arrivals(frame.reindex(columns=[*frame.columns, *later]))


def save_training_set(
    warehouse: Warehouse, training_set: TrainingSet, dagster_run_id: str | None
) -> None:
    """Record a training set; building it again only says when and by which dbt project."""
    row = dict(vars(training_set), excluded=json.dumps(training_set.excluded))
    row |= {"airports": list(training_set.airports), "dagster_run_id": dagster_run_id}
    row["features"] = None if training_set.features is None else list(training_set.features)
    _execute(
        warehouse,
        _insert("ml.training_sets", row)
        + " on conflict (fingerprint) do update set last_built_at = clock_timestamp(),"
        " dagster_run_id = excluded.dagster_run_id, features = excluded.features,"
        " dbt_fingerprint = excluded.dbt_fingerprint",
        row,
    )


def latest_training_set(warehouse: Warehouse, ring_nm: int) -> TrainingSet:
    """The training set built last for this ring.

    Raises:
        SkyOpsError: none was built.
    """
    row = _one(
        warehouse,
        f"select {_names(TrainingSet)} from ml.training_sets where ring_nm = %(ring_nm)s"
        " order by last_built_at desc limit 1",
        {"ring_nm": ring_nm},
    )
    if row is None:
        raise SkyOpsError(
            f"There is no training set for the {ring_nm} NM ring; materialise "
            "ml/training_sets first."
        )
    return _training_set(row)


def save_training_run(
    warehouse: Warehouse,
    run: TrainingRun,
    version: ModelVersion | None,
    dagster_run_id: str | None,
) -> None:
    """Record a training run and the version it registered, in one transaction.

    Raises:
        SkyOpsError: MLflow gave a version number that the warehouse knows from another run.
    """
    row = dict(vars(run), params=json.dumps(run.params), features=list(run.features))
    row["absent_features"] = None if run.absent_features is None else list(run.absent_features)
    for name in ("search", "interval"):
        row[name] = None if row[name] is None else json.dumps(row[name])
    row["dagster_run_id"] = dagster_run_id
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            _insert("ml.training_runs", row)
            + " on conflict (training_run_id) do update set last_trained_at = clock_timestamp(),"
            " dagster_run_id = excluded.dagster_run_id, code_version = excluded.code_version,"
            " absent_features = excluded.absent_features",
            row,
        )
        if version is None:
            return
        entry = {
            k: v for k, v in vars(version).items() if k not in ("is_champion", "trained_through_at")
        }
        cursor.execute(
            _insert("ml.model_versions", entry) + " on conflict (model_name, version) do nothing",
            entry,
        )
        cursor.execute(
            "select mlflow_run_id from ml.model_versions"
            " where model_name = %(model_name)s and version = %(version)s",
            entry,
        )
        known = cursor.fetchone()
        if known != (version.mlflow_run_id,):
            raise SkyOpsError(
                f"MLflow registered {version.label}, but ml.model_versions has that version from "
                f"another MLflow run ({known}). The MLflow database was replaced: restore it, or "
                "empty ml.model_versions."
            )


def latest_training_run(warehouse: Warehouse, model_name: str) -> TrainingRun | None:
    """The training run that ran last."""
    row = _one(
        warehouse,
        f"select {_names(TrainingRun)} from ml.training_runs where model_name = %(name)s"
        " order by last_trained_at desc limit 1",
        {"name": model_name},
    )
    return None if row is None else _training_run(row)


def training_run(warehouse: Warehouse, training_run_id: str) -> TrainingRun | None:
    """A training run by its id."""
    row = _one(
        warehouse,
        f"select {_names(TrainingRun)} from ml.training_runs where training_run_id = %(id)s",
        {"id": training_run_id},
    )
    return None if row is None else _training_run(row)


def training_set(warehouse: Warehouse, fingerprint: str) -> TrainingSet | None:
    """A training set by its fingerprint."""
    row = _one(
        warehouse,
        f"select {_names(TrainingSet)} from ml.training_sets where fingerprint = %(fingerprint)s",
        {"fingerprint": fingerprint},
    )
    return None if row is None else _training_set(row)


def version_of(warehouse: Warehouse, training_run_id: str) -> ModelVersion | None:
    """The version that a training run registered last."""
    return _version(
        warehouse,
        "training_run_id = %(key)s order by v.registered_at desc limit 1",
        training_run_id,
    )


def champion(warehouse: Warehouse, model_name: str) -> ModelVersion | None:
    """The version in force."""
    return _version(warehouse, "v.model_name = %(key)s and v.is_champion", model_name)


def version(warehouse: Warehouse, model_name: str, number: str) -> ModelVersion | None:
    """A version by its number."""
    return _version(
        warehouse, "v.model_name || ':' || v.version = %(key)s", f"{model_name}:{number}"
    )


def version_of_mlflow_run(warehouse: Warehouse, mlflow_run_id: str) -> ModelVersion | None:
    """The version that an MLflow run registered."""
    return _version(warehouse, "v.mlflow_run_id = %(key)s", mlflow_run_id)


def list_versions(warehouse: Warehouse, model_name: str) -> list[dict[str, Any]]:
    """Every version, oldest first: its window, what was measured, the gatekeeper's decision on it.

    `is_challenger` marks the version of the training run that ran last. Reads Postgres only.
    """
    return _all(
        warehouse,
        """
        select
            v.version, v.is_champion,
            r.training_run_id = (
                select training_run_id from ml.training_runs where model_name = %(name)s
                order by last_trained_at desc limit 1
            ) and v.version = (
                select version from ml.model_versions as same
                where same.training_run_id = v.training_run_id order by registered_at desc limit 1
            ) as is_challenger,
            r.trained_from_at, r.trained_through_at, r.train_rows,
            e.mae_min, e.skill, e.skill_low, e.skill_high, e.scored_rows, e.reference,
            d.decision_id, d.is_promoted, d.summary, d.decided_at,
            v.promoted_at, c.actor as promoted_by, c.reason as promoted_because,
            v.registered_at, v.training_run_id, v.fingerprint, v.mlflow_run_id,
            r.recipe, r.code_version, r.dagster_run_id
        from ml.model_versions as v
        join ml.training_runs as r using (training_run_id)
        left join ml.evaluations as e
            on e.training_run_id = v.training_run_id
            and e.candidate = v.model_name || ':' || v.version
        left join ml.promotion_decisions as d
            on d.training_run_id = v.training_run_id and d.challenger_version = v.version
        left join lateral (
            select actor, reason from audit.champion_changes
            where to_mlflow_run_id = v.mlflow_run_id order by change_id desc limit 1
        ) as c on true
        where v.model_name = %(name)s
        order by v.registered_at, v.version
        """,
        {"name": model_name},
    )


def champion_changes(warehouse: Warehouse, model_name: str) -> list[ChampionChange]:
    """Every change of the champion, oldest first."""
    rows = _all(
        warehouse,
        f"select {_names(ChampionChange)} from audit.champion_changes"
        " where model_name = %(name)s order by change_id",
        {"name": model_name},
    )
    return [ChampionChange(**row) for row in rows]


def taken_back(warehouse: Warehouse, training_run_id: str) -> ChampionChange | None:
    """The change by which a person took this training run's model out of force, if that stands.

    It stands until a person promotes it again.
    """
    row = _one(
        warehouse,
        f"""
        select {_names(ChampionChange)} from audit.champion_changes
        where is_by_hand and exists (
            select from ml.model_versions
            where training_run_id = %(id)s
                and mlflow_run_id in (from_mlflow_run_id, to_mlflow_run_id)
        )
        order by change_id desc limit 1
        """,
        {"id": training_run_id},
    )
    if row is None:
        return None
    change = ChampionChange(**row)
    gone = version_of_mlflow_run(warehouse, change.from_mlflow_run_id or "")
    return change if gone and gone.training_run_id == training_run_id else None


@contextmanager
def champion_lock(
    warehouse: Warehouse, model_name: str, what: str = "skyops.champion"
) -> Iterator[Any]:
    """A cursor of one transaction within which no one else changes this model's champion.

    Args:
        what: what is locked; what follows the champion slowly has a lock of its own.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtext(%s), hashtext(%s))", (what, model_name)
        )
        yield cursor


def change_champion(
    warehouse: Warehouse,
    before: ModelVersion | None,
    after: ModelVersion,
    *,
    action: str,
    actor: str,
    reason: str,
) -> None:
    """Make a version champion by hand and write who did it and why: both or neither.

    Raises:
        ChampionChanged: the champion is not `before` any more.
    """
    with champion_lock(warehouse, after.model_name) as cursor:
        _change_champion(cursor, before, after, action=action, actor=actor, reason=reason)


def save_evaluation(
    warehouse: Warehouse,
    training_run_id: str,
    evaluation: Evaluation,
    importance: dict[str, float] | None = None,
) -> None:
    """Put an evaluation, its slices and the importance in the place of the run's earlier ones."""
    rows = []
    for score in evaluation.scores:
        against = score.against_baseline
        versus = evaluation.against_champion if score.role == "challenger" else None
        rows.append(
            {
                "training_run_id": training_run_id,
                "candidate": score.candidate,
                "role": score.role,
                "test_rows": evaluation.test_rows,
                "predicted_rows": score.predicted_rows,
                "scored_rows": score.metrics.rows,
                "mae_min": score.metrics.mae_min,
                "rmse_min": score.metrics.rmse_min,
                "r2": score.metrics.r2,
                "bias_min": score.metrics.bias_min,
                "p90_min": score.metrics.p90_min,
                "within_1min_share": score.metrics.within_1min_share,
                "within_2min_share": score.metrics.within_2min_share,
                "interval_coverage": score.interval_coverage,
                "interval_width_min": score.interval_width_min,
                "reference": against and against.reference,
                "is_reference": score.candidate == evaluation.reference,
                "skill": against and against.skill,
                "skill_low": against and against.low,
                "skill_high": against and against.high,
                "test_days": against and against.days,
                "blocks": against and against.blocks,
                "block": against and against.block,
                "champion": versus and versus.reference,
                "champion_rows": versus and versus.rows,
                "champion_days": versus and versus.days,
                "champion_gain": versus and versus.skill,
                "champion_gain_low": versus and versus.low,
                "champion_gain_high": versus and versus.high,
            }
        )
    parts = [
        {
            "training_run_id": training_run_id,
            "kind": part.kind,
            "slice": part.name,
            "is_gated": part.is_gated,
            "rows": part.comparison.rows,
            "challenger_mae_min": part.challenger_mae_min,
            "champion_mae_min": part.champion_mae_min,
            "baseline_mae_min": part.baseline_mae_min,
            "against": part.comparison.reference,
            "gain": part.comparison.skill,
            "gain_low": part.comparison.low,
            "gain_high": part.comparison.high,
            "blocks": part.comparison.blocks,
            "block": part.comparison.block,
        }
        for part in evaluation.slices
    ]
    groups = [
        {"training_run_id": training_run_id, "feature_group": group, "mae_rise_min": rise}
        for group, rise in (importance or {}).items()
    ]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for table, content in (
            ("ml.evaluations", rows),
            ("ml.evaluation_slices", parts),
            ("ml.feature_importance", groups),
        ):
            cursor.execute(f"delete from {table} where training_run_id = %s", (training_run_id,))
            _insert_many(cursor, table, content)


def read_slices(warehouse: Warehouse, training_run_id: str) -> list[dict[str, Any]]:
    """The rows of ``ml.evaluation_slices`` of a training run."""
    return _all(
        warehouse,
        "select * from ml.evaluation_slices where training_run_id = %(id)s order by kind, slice",
        {"id": training_run_id},
    )


def save_evidence(warehouse: Warehouse, version: ModelVersion, probe: Probe, logic: Logic) -> None:
    """Put what was measured of a challenger in the place of its training run's earlier one."""
    row = {
        "training_run_id": version.training_run_id,
        "mlflow_run_id": version.mlflow_run_id,
        **{"load_error" if k == "error" else k: v for k, v in vars(probe).items()},
        **vars(logic),
        "identifiers": list(logic.identifiers),
        "wrong_way_min": json.dumps(logic.wrong_way_min),
    }
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name != "training_run_id")
    _execute(
        warehouse,
        _insert("ml.challenger_evidence", row)
        + f" on conflict (training_run_id) do update set {changes}, measured_at = now()",
        row,
    )


def read_evidence(warehouse: Warehouse, training_run_id: str) -> dict[str, Any] | None:
    """The row of ``ml.challenger_evidence`` of a training run."""
    return _one(
        warehouse,
        "select * from ml.challenger_evidence where training_run_id = %(id)s",
        {"id": training_run_id},
    )


def read_evaluation(warehouse: Warehouse, training_run_id: str) -> list[dict[str, Any]]:
    """The rows of ``ml.evaluations`` of a training run: models first, then by MAE."""
    return _all(
        warehouse,
        "select * from ml.evaluations where training_run_id = %(id)s"
        " order by role = 'baseline', mae_min nulls last, candidate",
        {"id": training_run_id},
    )


def read_decision(warehouse: Warehouse, training_run_id: str) -> dict[str, Any] | None:
    """The decision on a training run, if it was taken."""
    return _one(
        warehouse,
        "select * from ml.promotion_decisions where training_run_id = %(id)s",
        {"id": training_run_id},
    )


def save_decision(
    warehouse: Warehouse,
    run: TrainingRun,
    challenger: ModelVersion | None,
    champion: ModelVersion | None,
    *,
    decision: Decision,
    dagster_run_id: str | None,
) -> None:
    """Record a decision and, where it promotes, make the challenger champion: both or neither.

    A challenger that is champion already stays it, without a change being noted.

    Raises:
        ChampionChanged: the champion is not `champion` any more.
    """
    row = {
        "training_run_id": run.training_run_id,
        "model_name": run.model_name,
        "challenger_version": challenger and challenger.version,
        "champion_version": champion and champion.version,
        "is_promoted": decision.is_promoted,
        "reasons": json.dumps(decision.as_json()),
        "lights": json.dumps(decision.lights),
        "summary": decision.sentence,
        "dagster_run_id": dagster_run_id,
    }
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name != "training_run_id")
    with champion_lock(warehouse, run.model_name) as cursor:
        cursor.execute(
            _insert("ml.promotion_decisions", row)
            + f" on conflict (training_run_id) do update set {changes}, decided_at = now()"
            " returning decision_id",
            row,
        )
        (decision_id,) = cursor.fetchone()
        if decision.is_promoted and challenger is not None and challenger != champion:
            _change_champion(
                cursor,
                champion,
                challenger,
                action="gatekeeper",
                actor="gatekeeper",
                reason=decision.sentence.removeprefix("promoted: "),
                decision_id=decision_id,
            )


def save_predictions(warehouse: Warehouse, rows: pd.DataFrame) -> int:
    """Add predictions and return how many were new; one that was given is never rewritten."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        return _insert_many(
            cursor, "ml.predictions", _records(rows), " on conflict do nothing returning 1"
        )


def read_predictions(warehouse: Warehouse, ring_nm: int) -> pd.DataFrame:
    """Key, source, crossed_at, predicted_transit_min and is_in_sample of all of a ring."""
    columns = (*_PREDICTION_KEY, "source", "crossed_at", "predicted_transit_min", "is_in_sample")
    query = f"select {', '.join(columns)} from ml.predictions where ring_nm = {ring_nm:d}"
    frame: pd.DataFrame = read_arrow(warehouse, query).to_pandas()
    return frame.sort_values(list(_PREDICTION_KEY)).reset_index(drop=True)


def read_fair_predictions(
    warehouse: Warehouse, ring_nm: int, version: ModelVersion, since: datetime
) -> pd.DataFrame:
    """The key and the minutes of what a version predicted of crossings it has not learned from."""
    query = (
        "select flight_id, airport, ring_nm, predicted_transit_min from ml.predictions"
        f" where ring_nm = {ring_nm:d} and model_name = {_quoted(version.model_name)}"
        f" and model_version = {_quoted(version.version)} and not is_in_sample"
        " and predicted_transit_min is not null" + _before("crossed_at", since, ">=")
    )
    frame: pd.DataFrame = read_arrow(warehouse, query).to_pandas()
    return frame.astype({"ring_nm": "int64"})


def arrivals_since(
    warehouse: Warehouse,
    ring_nm: int,
    since: datetime | None,
    as_of: datetime | None,
    *,
    with_simulated: bool = False,
) -> tuple[int, datetime | None]:
    """How many arrivals crossed after `since` (None: at all), and the last landing of all."""
    later = "true" if since is None else f"crossed_at > {_quoted(since.isoformat())}::timestamptz"
    row = _one(
        warehouse,
        f"select count(*) filter (where {later}) as arrivals, max(landed_at) as landed_at"
        f" from {ARRIVALS_TABLE} where ring_nm = {ring_nm:d} and label_quality <> '{PROVISIONAL}'"
        + _before("landed_at", as_of)
        + _observed(with_simulated),
        {},
    )
    return (row["arrivals"], row["landed_at"]) if row else (0, None)


def runway_changes(
    warehouse: Warehouse, since: datetime, as_of: datetime | None
) -> list[dict[str, Any]]:
    """airport, changed_at, from_direction and to_direction since a moment, the oldest first."""
    return _all(
        warehouse,
        "select airport, changed_at, from_direction, to_direction"
        " from metrics.runway_configuration_changes where true"
        + _before("changed_at", since, ">=")
        + _before("known_at", as_of, "<=")
        + " order by changed_at, airport",
        {},
    )


def read_landings(
    warehouse: Warehouse, source: str, ring_nm: int, *, as_of: datetime | None = None
) -> pd.DataFrame:
    """flight_id, airport and landed_at of every settled landing of a source.

    Our own are those of ``metrics.fct_movements``; a provisional landing, one that more data may
    still withdraw, leaves its outcome pending. The history's are those of its arrivals. With
    `as_of` only those known by then.
    """
    if source == HISTORY:
        table, landed_at = HISTORY_ARRIVALS_TABLE, "landed_at"
        condition = f"source = 'history' and ring_nm = {ring_nm:d}" + _before("landed_at", as_of)
        needed: tuple[str, ...] = ("flight_id", "airport", "ring_nm", "source", "landed_at")
    else:
        table, landed_at = MOVEMENTS_TABLE, "moved_at"
        condition = f"movement = 'landing' and label_quality <> '{PROVISIONAL}'"
        condition += _before("known_at", as_of, "<=")
        needed = ("flight_id", "airport", "movement", "moved_at", "known_at", "label_quality")
    _require(table, _columns(warehouse, table), needed)
    return read_arrow(
        warehouse,
        "select flight_id::text as flight_id, airport::text as airport, "
        f"{landed_at}::timestamptz as landed_at from {table} where {condition}",
    ).to_pandas()


def read_flights(warehouse: Warehouse, *, as_of: datetime | None = None) -> pd.DataFrame:
    """flight_id and last_seen_at of every flight in ``metrics.fct_flights``, as seen by `as_of`."""
    columns = _columns(warehouse, FLIGHTS_TABLE)
    _require(FLIGHTS_TABLE, columns, ("flight_id", "last_seen_at"))
    last_seen_at, condition = "last_seen_at", "true"
    if as_of:
        _require(FLIGHTS_TABLE, columns, ("first_seen_at",))
        last_seen_at = f"least(last_seen_at, {_quoted(as_of.isoformat())}::timestamptz)"
        condition += _before("first_seen_at", as_of, "<=")
    return read_arrow(
        warehouse,
        f"select flight_id::text as flight_id, {last_seen_at} as last_seen_at "
        f"from {FLIGHTS_TABLE} where {condition}",
    ).to_pandas()


def save_outcomes(warehouse: Warehouse, rows: pd.DataFrame) -> int:
    """Write outcomes and return how many are new or changed."""
    values = ("outcome", "landed_at", "error_min")
    with warehouse.connect() as connection, connection.cursor() as cursor:
        return _insert_many(
            cursor,
            "ml.prediction_outcomes",
            _records(rows),
            f" on conflict ({', '.join(_PREDICTION_KEY)}) do update set "
            + ", ".join(f"{name} = excluded.{name}" for name in (*values, "resolved_at"))
            + " where ({}) is distinct from ({}) returning 1".format(
                ", ".join(f"prediction_outcomes.{name}" for name in values),
                ", ".join(f"excluded.{name}" for name in values),
            ),
        )


def champion_summary(
    warehouse: Warehouse, settings: Settings, ring_nm: int = 40
) -> dict[str, Any] | None:
    """name, version, mae_min, skill and trained_through (ISO, UTC) of the champion, or None.

    Reads Postgres only. `mae_min` and `skill` are those measured before it was promoted.
    """
    row = _one(
        warehouse,
        """
        select v.model_name as name, v.version, e.mae_min, e.skill, r.trained_through_at
        from ml.model_versions v
        join ml.training_runs r using (training_run_id)
        left join ml.evaluations e
            on e.training_run_id = v.training_run_id
            and e.candidate = v.model_name || ':' || v.version
        where v.is_champion and v.model_name = %(name)s
        """,
        {"name": model_name(ring_nm)},
    )
    if row is None:
        return None
    through = row.pop("trained_through_at")
    return {**row, "trained_through": through and through.isoformat()}


def model_name(ring_nm: int) -> str:
    """The registered model of a ring, such as ``arrival-transit-40nm``."""
    return f"arrival-transit-{ring_nm:d}nm"


def _change_champion(
    cursor: Any,
    before: ModelVersion | None,
    after: ModelVersion,
    *,
    action: str,
    actor: str,
    reason: str,
    decision_id: int | None = None,
) -> None:
    """Within `champion_lock`: move ``is_champion`` and add the row that says so."""
    cursor.execute(
        "select version, mlflow_run_id from ml.model_versions"
        " where model_name = %s and is_champion",
        (after.model_name,),
    )
    found = cursor.fetchone()
    if found != (before and (before.version, before.mlflow_run_id)):
        raise ChampionChanged(
            f"The champion of {after.model_name} was changed meanwhile: it is "
            f"{f'version {found[0]}' if found else 'none'} now, not "
            f"{f'version {before.version}' if before else 'none'}. Nothing was changed here. Look "
            "at `skyops model list` and decide again."
        )
    row = {
        "model_name": after.model_name,
        "action": action,
        "from_version": before and before.version,
        "to_version": after.version,
        "from_mlflow_run_id": before and before.mlflow_run_id,
        "to_mlflow_run_id": after.mlflow_run_id,
        "actor": actor,
        "reason": reason,
        "decision_id": decision_id,
    }
    cursor.execute(
        "update ml.model_versions set is_champion = false"
        " where model_name = %(model_name)s and is_champion",
        row,
    )
    cursor.execute(
        "update ml.model_versions set is_champion = true, promoted_at = clock_timestamp()"
        " where model_name = %(model_name)s and version = %(to_version)s",
        row,
    )
    cursor.execute(_insert("audit.champion_changes", row), row)


def _training_set(row: dict[str, Any]) -> TrainingSet:
    names = row["features"]
    row |= {"airports": tuple(row["airports"])}
    return TrainingSet(**{**row, "features": None if names is None else tuple(names)})


def _training_run(row: dict[str, Any]) -> TrainingRun:
    absent = row["absent_features"]
    row |= {"features": tuple(row["features"])}
    return TrainingRun(**{**row, "absent_features": None if absent is None else tuple(absent)})


def _version(warehouse: Warehouse, condition: str, key: str) -> ModelVersion | None:
    row = _one(
        warehouse,
        "select v.model_name, v.version, v.training_run_id, v.fingerprint, v.mlflow_run_id,"
        " v.is_champion, r.trained_through_at"
        " from ml.model_versions v join ml.training_runs r using (training_run_id)"
        f" where {condition}",
        {"key": key},
    )
    return None if row is None else ModelVersion(**row)


def _read(warehouse: Warehouse, table: str, columns: Sequence[str], condition: str) -> pd.DataFrame:
    _require(table, _columns(warehouse, table), columns)
    query = f"select {', '.join(_cast(name) for name in columns)} from {table} t where {condition}"
    return read_arrow(warehouse, query).to_pandas()


def _columns(warehouse: Warehouse, table: str) -> set[str]:
    schema, name = table.split(".")
    rows = _all(
        warehouse,
        "select column_name from information_schema.columns"
        " where table_schema = %(schema)s and table_name = %(name)s",
        {"schema": schema, "name": name},
    )
    if not rows:
        raise SkyOpsError(
            f"The table {table} does not exist yet; materialise the dbt models first."
        )
    return {row["column_name"] for row in rows}


def _require(table: str, present: Iterable[str], wanted: Sequence[str]) -> None:
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise SkyOpsError(f"{table} lacks {', '.join(missing)}; rebuild it with dbt.")


def _cast(name: str) -> str:
    """The column in the type that the canonical frame wants; numeric would come as text."""
    if name in text_columns():
        return f"t.{name}::text as {name}"
    if name.endswith("_at"):
        return f"t.{name}::timestamptz as {name}"
    if name == "is_inbound":
        return f"t.{name}::boolean as {name}"
    return f"t.{name}::double precision as {name}"


def _before(column: str, moment: datetime | None, operator: str = "<") -> str:
    """The condition that leaves out what was known only after `moment`; none for None."""
    if moment is None:
        return ""
    if moment.tzinfo is None:
        raise SkyOpsError(f"The moment {moment} has no time zone; give it in UTC.")
    return f" and {column} {operator} {_quoted(moment.isoformat())}::timestamptz"


def _observed(with_simulated: bool) -> str:
    """The condition that leaves out what nobody observed."""
    return "" if with_simulated else " and is_simulated is not true"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _names(kind: type) -> str:
    return ", ".join(kind.__dataclass_fields__)  # type: ignore[attr-defined]


def _insert(table: str, row: dict[str, Any]) -> str:
    names = list(row)
    values = ", ".join(f"%({name})s" for name in names)
    return f"insert into {table} ({', '.join(names)}) values ({values})"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as psycopg2 takes them: no numpy types, every missing value None."""
    objects = frame.astype(object).where(frame.notna(), None)
    return objects.to_dict("records")  # type: ignore[return-value]


def _insert_many(cursor: Any, table: str, rows: Sequence[dict[str, Any]], suffix: str = "") -> int:
    """Insert rows; with a ``returning`` suffix the count is of rows written."""
    from psycopg2.extras import execute_values

    if not rows:
        return 0
    names = list(rows[0])
    written = execute_values(
        cursor,
        f"insert into {table} ({', '.join(names)}) values %s{suffix}",
        [tuple(row[name] for name in names) for row in rows],
        page_size=2000,
        fetch="returning" in suffix,
    )
    return len(rows) if written is None else len(written)


def _execute(warehouse: Warehouse, statement: str, values: dict[str, Any]) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def _all(warehouse: Warehouse, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    from psycopg2.extras import RealDictCursor

    with (
        warehouse.connect() as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]


def _one(warehouse: Warehouse, query: str, values: dict[str, Any]) -> dict[str, Any] | None:
    rows = _all(warehouse, query, values)
    return rows[0] if rows else None
