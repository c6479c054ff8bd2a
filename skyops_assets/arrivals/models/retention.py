"""Which training sets and MLflow runs nothing refers to any more, and their removal.

A version stands in ``ml.model_versions`` for good, so what belongs to one is never removed; nor
what a decision was made on. What is left are trainings that came to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from skyops_assets.arrivals.models import registry
from skyops_assets.settings import Settings
from skyops_assets.store import TRAINING, open_store
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Swept:
    """How many snapshots of training sets and MLflow runs were removed."""

    snapshots: int
    mlflow_runs: int


def sweep(warehouse: Warehouse, settings: Settings, keep_days: int) -> Swept:
    """Remove what is older than ``keep_days`` and belongs to no version or decision.

    Snapshots: their files only, the rows of ``ml.training_sets`` stay; those of the latest training
    and of the latest training set stay too, as baselines are fitted on them. MLflow runs: their
    files and models; MLflow keeps the run as deleted.
    """
    before = datetime.now(UTC) - timedelta(days=keep_days)
    return Swept(
        _sweep_snapshots(warehouse, settings, before), _sweep_mlflow(warehouse, settings, before)
    )


def _sweep_snapshots(warehouse: Warehouse, settings: Settings, before: datetime) -> int:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select fingerprint from ml.model_versions
            union
            select fingerprint from ml.promotion_decisions join ml.training_runs
                using (training_run_id)
            union
            (select distinct on (model_name) fingerprint from ml.training_runs
             order by model_name, last_trained_at desc)
            union
            (select distinct on (ring_nm) fingerprint from ml.training_sets
             order by ring_nm, last_built_at desc)
            union
            select fingerprint from ml.training_sets where last_built_at >= %s
            """,
            (before,),
        )
        needed = {fingerprint for (fingerprint,) in cursor.fetchall()}
    removed = 0
    store = open_store(settings)
    # Also the *.part of a process that was killed as it wrote.
    for file in store.files(TRAINING):
        path = PurePosixPath(file.name)
        is_snapshot = path.suffix in (".parquet", ".part")
        # Its row is written after the file.
        if is_snapshot and path.stem not in needed and file.modified_at < before:
            store.delete(file.name)
            removed += 1
    return removed


def _sweep_mlflow(warehouse: Warehouse, settings: Settings, before: datetime) -> int:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = registry.configure(warehouse, settings)
    experiment = client.get_experiment_by_name(registry.EXPERIMENT)
    if experiment is None:
        return 0
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select mlflow_run_id from ml.model_versions "
            "union select to_mlflow_run_id from audit.champion_changes "
            "union select from_mlflow_run_id from audit.champion_changes"
        )
        needed = {run_id for (run_id,) in cursor.fetchall()}
    old = f"attributes.start_time < {int(before.timestamp() * 1_000)}"
    found, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], old, page_token=token)
        found += [run.info for run in page if run.info.run_id not in needed]
        token = page.token
        if not token:
            break
    for info in found:
        models = client.search_logged_models(
            [experiment.experiment_id], f"source_run_id = '{info.run_id}'"
        )
        for model in models:
            get_artifact_repository(model.artifact_location).delete_artifacts()
            client.delete_logged_model(model.model_id)
        get_artifact_repository(info.artifact_uri).delete_artifacts()
        client.delete_run(info.run_id)
    return len(found)
