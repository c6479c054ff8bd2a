"""MLflow's part of bringing a version from another environment: run, files, registration.

Belongs here: calls into two MLflows. Does not: what is copied and who says so (`copies`), calls
into this environment's own (`registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.store import copy_file
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from mlflow import MlflowClient


def elsewhere(warehouse: Warehouse, database: str) -> MlflowClient:
    """MLflow of another environment, to read from; this process's own stays what it is.

    Raises:
        SkyOpsError: there is no such database, or it is not MLflow's.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with warehouse.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('public.registered_models') is null")
        if cursor.fetchone() == (True,):
            raise SkyOpsError(
                f"The database {database!r} on {warehouse.safe_url} has no MLflow: name that "
                "environment's SKYOPS_MLFLOW_DATABASE in SKYOPS_SOURCE_MLFLOW_DATABASE."
            )
    uri = warehouse.sqlalchemy(database)
    try:
        return mlflow.MlflowClient(uri, uri)
    except MlflowException as error:
        raise SkyOpsError(
            f"MLflow's database {database!r} on {warehouse.safe_url} cannot be read ({error})."
        ) from error


def copy_version(
    theirs: MlflowClient, ours: MlflowClient, version: ModelVersion, tags: dict[str, str]
) -> tuple[registry.Registered, dict[str, str]]:
    """Register another registry's version here, with its run, parameters, metrics and files.

    Args:
        tags: put on run and version, in place of those there.

    Returns:
        What was registered, and the SHA-256 of each file. Each is the same as there, but for
        ``MLmodel``, which names run and model.

    Raises:
        SkyOpsError: a file is gone, is only read by MLflow, or is not the same here.
    """
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException

    experiment = ours.get_experiment_by_name(registry.EXPERIMENT)
    if experiment is None:
        raise SkyOpsError(
            f"MLflow's experiment {registry.EXPERIMENT!r} is gone; restore its database."
        )
    try:
        there = theirs.get_model_version(version.model_name, version.version)
        run = theirs.get_run(version.mlflow_run_id)
        # As `log_training` registers it; its column for the id is not filled.
        model = theirs.get_logged_model((there.source or "").removeprefix("models:/"))
    except MlflowException as error:
        raise SkyOpsError(
            f"MLflow there does not have {version.label} as it was registered ({error})."
        ) from error
    # Not what was decided there: here it is not yet.
    known = {name: value for name, value in there.tags.items() if not name.startswith("decision")}
    tags = known | tags
    copy = ours.create_run(experiment.experiment_id, tags=tags, run_name=run.info.run_name)
    ours.log_batch(
        copy.info.run_id,
        [Metric(name, value, run.info.end_time, 0) for name, value in run.data.metrics.items()],
        [Param(name, value) for name, value in run.data.params.items()],
    )
    if run.inputs:
        ours.log_inputs(copy.info.run_id, run.inputs.dataset_inputs)
    files = _copy_files(run.info.artifact_uri, copy.info.artifact_uri, "run")
    made = ours.create_logged_model(
        experiment.experiment_id, model.name, copy.info.run_id, model_type=model.model_type
    )
    files |= _copy_files(
        model.artifact_location,
        made.artifact_location,
        "model",
        {
            model.artifact_location: made.artifact_location,
            model.model_id: made.model_id,
            run.info.run_id: copy.info.run_id,
        },
    )
    ours.finalize_logged_model(made.model_id, "READY")
    ours.set_terminated(copy.info.run_id)
    registry.ensure_model(ours, version.model_name)
    registered = ours.create_model_version(
        version.model_name, f"models:/{made.model_id}", copy.info.run_id, tags,
        model_id=made.model_id,
    )  # fmt: skip
    return registry.Registered(version.model_name, str(registered.version), copy.info.run_id), files


def _copy_files(
    source: str, goal: str, prefix: str, names: dict[str, str] | None = None
) -> dict[str, str]:
    """Copy all files of an address, read each back, and return its SHA-256 by name.

    Args:
        names: in ``MLmodel``, what stands there, and what is to stand here.
    """
    there, here = registry.open_root(source), registry.open_root(goal)
    if there is None or here is None:
        raise SkyOpsError(
            f"Files can be copied between folders and buckets only, not from {source} to {goal}."
        )
    hashes = {}
    try:
        found = there.files()
        for file in found:
            if names and file.name == "MLmodel":
                text = (there.read(file.name) or b"").decode()
                for old, new in names.items():
                    text = text.replace(old, new)
                here.write(file.name, text.encode())
                hashes[f"{prefix}/{file.name}"] = here.sha256(file.name)
                continue
            copy_file(there, here, file)
            hashes[f"{prefix}/{file.name}"] = here.sha256(file.name)
            if hashes[f"{prefix}/{file.name}"] != there.sha256(file.name):
                raise SkyOpsError(
                    f"{here.address(file.name)} is not the same as {there.address(file.name)}; "
                    "copy the version again."
                )
    except OSError as error:
        raise SkyOpsError(f"The files in {source} cannot be copied to {goal}: {error}.") from error
    if not found:
        raise SkyOpsError(
            f"{source} has no files: this machine does not see that environment's files, or they "
            "are lost (`skyops store check` there names them)."
        )
    return hashes
