"""Stores training sets, with their snapshots, and training runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import (
    FEATURES,
    canonical_arrivals,
    named,
)
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import TRAINING, open_store
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import execute, fetch_one, field_names, insert_statement

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingSet:
    """A row of ``ml.training_sets``; `chosen` says which arrivals a person chose for it."""

    fingerprint: str
    ring_nm: int
    row_count: int
    excluded: dict[str, int]
    airports: tuple[str, ...]
    crossed_from_at: datetime | None
    crossed_through_at: datetime | None
    dbt_fingerprint: str | None = None
    features: tuple[str, ...] | None = None
    chosen: str | None = None


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


class SnapshotLost(SkyOpsError):
    """The rows of a training set are gone or broken."""


def snapshot_name(fingerprint: str) -> str:
    """The name in the store of the rows of a training set."""
    return f"{TRAINING}/{fingerprint}.parquet"


def snapshot_address(settings: Settings, fingerprint: str) -> str:
    """Where the rows of a training set lie: a path, or an address in a bucket."""
    return f"{settings.store_root}/{snapshot_name(fingerprint)}"


def has_snapshot(settings: Settings, fingerprint: str) -> bool:
    """Whether the rows of a training set are there still."""
    return open_store(settings).find(snapshot_name(fingerprint)) is not None


def write_snapshot(settings: Settings, fingerprint: str, frame: pd.DataFrame) -> str:
    """Keep the rows of a training set; content-addressed, so writing twice is the same.

    Written also where there is a file, which may be a broken one.

    Returns:
        Where they are.
    """
    with open_store(settings).writing(snapshot_name(fingerprint)) as part:
        frame.to_parquet(part, index=False)
    return snapshot_address(settings, fingerprint)


def read_snapshot(
    settings: Settings, fingerprint: str, belongs_to: str | None = None
) -> pd.DataFrame:
    """The rows of a training set, canonical; a feature that came after it was frozen is missing.

    Args:
        belongs_to: the version that was trained on it, for the message.

    Raises:
        SnapshotLost: the file is gone or broken.
    """
    import pandas as pd
    import pyarrow

    try:
        with open_store(settings).open(snapshot_name(fingerprint)) as file:
            frame = pd.read_parquet(file)
    except (OSError, pyarrow.ArrowException) as error:
        of = f", of {belongs_to}," if belongs_to else ""
        raise SnapshotLost(
            f"The rows of the training set {fingerprint[:12]}{of} cannot be read from "
            f"{snapshot_address(settings, fingerprint)} ({type(error).__name__}: {error}). Build "
            "the training set again (materialise ml/training_sets; the same rows give the same "
            "file), or point SKYOPS_STORE (else SKYOPS_HOME) at the place that holds it."
        ) from error
    later = [name for name in FEATURES if name not in frame.columns]
    return canonical_arrivals(frame.reindex(columns=[*frame.columns, *later]))


def save_training_set(
    warehouse: Warehouse, training_set: TrainingSet, dagster_run_id: str | None
) -> None:
    """Record a training set; building it again only says when and by which dbt project."""
    row = _set_row(training_set) | {"dagster_run_id": dagster_run_id}
    execute(
        warehouse,
        insert_statement("ml.training_sets", row)
        + " on conflict (fingerprint) do update set last_built_at = clock_timestamp(),"
        " dagster_run_id = excluded.dagster_run_id, features = excluded.features,"
        " dbt_fingerprint = excluded.dbt_fingerprint, chosen = excluded.chosen",
        row,
    )


def write_foreign_training_set(cursor: Any, training_set: TrainingSet) -> None:
    """Within a transaction: note a training set that another environment built.

    As the oldest: the next training here takes the latest, which is to be one of this environment.
    """
    row = _set_row(training_set) | {"last_built_at": "epoch"}
    cursor.execute(
        insert_statement("ml.training_sets", row) + " on conflict (fingerprint) do nothing", row
    )


def latest_training_set(warehouse: Warehouse, ring_nm: int) -> TrainingSet:
    """The training set built last for this ring.

    Raises:
        SkyOpsError: none was built.
    """
    row = fetch_one(
        warehouse,
        f"select {field_names(TrainingSet)} from ml.training_sets where ring_nm = %(ring_nm)s"  # noqa: S608
        " order by last_built_at desc limit 1",
        {"ring_nm": ring_nm},
    )
    if row is None:
        raise SkyOpsError(
            f"There is no training set for the {ring_nm} NM ring; materialise "
            f"ml/{named('training_sets', ring_nm)} first."
        )
    return _training_set(row)


def chosen(warehouse: Warehouse, fingerprint: str) -> str | None:
    """Which arrivals a person chose for a training set; None for all that there were."""
    row = fetch_one(
        warehouse,
        "select chosen from ml.training_sets where fingerprint = %(fingerprint)s",
        {"fingerprint": fingerprint},
    )
    return row["chosen"] if row else None


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
    with warehouse.connect() as connection, connection.cursor() as cursor:
        write_training_run(cursor, run, version, dagster_run_id)


def write_training_run(
    cursor: Any,
    run: TrainingRun,
    version: ModelVersion | None,
    dagster_run_id: str | None,
    env: str | None = None,
) -> None:
    """`save_training_run` within a transaction.

    Args:
        env: the environment in which it ran, where that is another one.
    """
    row = dict(vars(run), params=json.dumps(run.params), features=list(run.features))
    row["absent_features"] = None if run.absent_features is None else list(run.absent_features)
    for name in ("search", "interval"):
        row[name] = None if row[name] is None else json.dumps(row[name])
    row["dagster_run_id"] = dagster_run_id
    row |= {"env": env} if env else {}
    cursor.execute(
        insert_statement("ml.training_runs", row)
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
        insert_statement("ml.model_versions", entry)
        + " on conflict (model_name, version) do nothing",
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
    row = fetch_one(
        warehouse,
        f"select {field_names(TrainingRun)} from ml.training_runs where model_name = %(name)s"  # noqa: S608
        " order by last_trained_at desc limit 1",
        {"name": model_name},
    )
    return None if row is None else _training_run(row)


def training_run(warehouse: Warehouse, training_run_id: str) -> TrainingRun | None:
    """A training run by its id."""
    row = fetch_one(
        warehouse,
        f"select {field_names(TrainingRun)} from ml.training_runs where training_run_id = %(id)s",  # noqa: S608
        {"id": training_run_id},
    )
    return None if row is None else _training_run(row)


def training_set(warehouse: Warehouse, fingerprint: str) -> TrainingSet | None:
    """A training set by its fingerprint."""
    row = fetch_one(
        warehouse,
        f"select {field_names(TrainingSet)} from ml.training_sets"  # noqa: S608
        " where fingerprint = %(fingerprint)s",
        {"fingerprint": fingerprint},
    )
    return None if row is None else _training_set(row)


def _set_row(training_set: TrainingSet) -> dict[str, Any]:
    row = dict(vars(training_set), excluded=json.dumps(training_set.excluded))
    row["airports"] = list(training_set.airports)
    row["features"] = None if training_set.features is None else list(training_set.features)
    return row


def _training_set(row: dict[str, Any]) -> TrainingSet:
    names = row["features"]
    row |= {"airports": tuple(row["airports"])}
    return TrainingSet(**{**row, "features": None if names is None else tuple(names)})


def _training_run(row: dict[str, Any]) -> TrainingRun:
    absent = row["absent_features"]
    row |= {"features": tuple(row["features"])}
    return TrainingRun(**{**row, "absent_features": None if absent is None else tuple(absent)})
