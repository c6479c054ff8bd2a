"""Models in MLflow on the warehouse's server: logged, versioned, found again.

Belongs here: every call into MLflow. Does not: which version is champion; that is a row in
``ml.model_versions``, and the alias ``champion`` here follows it, so that a process killed
between the two writes leaves one truth and a label that the next run puts right.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES
from skyops_assets.arrivals.store.versions import ModelVersion, command, of_another
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import S3, Store, open_place
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

EXPERIMENT = "skyops-arrivals"
CHAMPION = "champion"
CHALLENGER = "challenger"
ONNX_FILE = "model.onnx"
ENV = "env"
"""The tag of runs and versions that names the environment which registered them."""
MAX_DESCRIPTION = 5000
"""MLflow's column for it is no wider."""
_TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "numpy.dtype",
]
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""Columns in which MLflow keeps whole addresses of its files."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    name: str
    version: str
    mlflow_run_id: str


def configure(warehouse: Warehouse, settings: Settings) -> MlflowClient:
    """Point MLflow at the warehouse's server, quietly, and make its tables and experiment.

    The first call on a new database takes 1.6 to 2.5 s. It holds a lock: two processes
    making MLflow's tables at once fail each other.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It complains that pip is not installed, whose version no one needs here.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    uri = warehouse.sqlalchemy(settings.mlflow_database)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.mlflow'))")
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client = mlflow.MlflowClient(uri, uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=location(settings))
    return client


def log_training(
    client: MlflowClient,
    *,
    name: str,
    model: Any,
    params: dict[str, Any],
    metrics: dict[str, float],
    tags: dict[str, str],
    train: pd.DataFrame,
    snapshot: str,
    dataset_tags: dict[str, str],
    files: dict[str, dict[str, Any] | None],
) -> Registered:
    """Log a run with its model and dataset, and register the version.

    Args:
        model: the fitted pipeline.
        train: canonical arrivals it was fitted on.
        snapshot: where the file is that holds them.
        dataset_tags: what the rows are, at most 500 characters each; put on the dataset.
        tags: provenance, such as fingerprint and code version; put on run and version.
        files: records to keep as JSON under ``training``; None is left out.

    Takes 0.5 to 0.8 s once the libraries are imported.
    """
    import mlflow
    import mlflow.data
    import mlflow.sklearn

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise SkyOpsError(f"MLflow's experiment {EXPERIMENT!r} is gone; restore its database.")
    with (
        warnings.catch_warnings(),
        mlflow.start_run(
            experiment_id=experiment.experiment_id,
            run_name=tags.get("training_run_id"),
            tags=tags,
        ) as run,
    ):
        warnings.simplefilter("ignore")
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
        for file, record in files.items():
            if record is not None:
                mlflow.log_dict(record, f"training/{file}")
        dataset = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            train[list(FEATURES)], source=snapshot, name=tags.get("fingerprint", name)[:36]
        )
        mlflow.log_input(dataset, context="training", tags=dataset_tags)
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature(),
            # Without explicit requirements MLflow imports the model in a new process: 40 s.
            pip_requirements=[f"{p}=={installed(p)}" for p in ("scikit-learn", "pandas", "skops")],
            skops_trusted_types=_TRUSTED,
        )
    ensure_model(client, name)
    version = client.create_model_version(
        name, info.model_uri, run_id=run.info.run_id, tags=tags, model_id=info.model_id
    )
    return Registered(name, str(version.version), run.info.run_id)


def signature() -> ModelSignature:
    """Every feature optional, text for the categories and double for the rest; minutes out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string if name in CATEGORICAL else DataType.double, name, required=False)
        for name in FEATURES
    ]
    return ModelSignature(Schema(columns), Schema([ColSpec(DataType.double, "transit_min")]))


def read_signature(name: str, version: str) -> ModelSignature | None:
    """What a registered version says that it takes and gives.

    Raises:
        SkyOpsError: the registry has no such version, or its files are gone.
    """
    import mlflow.models
    from mlflow.exceptions import MlflowException

    try:
        found: ModelSignature | None = mlflow.models.get_model_info(
            f"models:/{name}/{version}"
        ).signature
    except (MlflowException, OSError) as error:
        raise SkyOpsError(
            f"The signature of {name}:{version} cannot be read from MLflow ({error}). Restore "
            "MLflow's database and artifacts, or train again."
        ) from error
    return found


def libraries(name: str, version: str) -> dict[str, tuple[str, str]]:
    """Python and the libraries that a version was made with, as they were and as they are here.

    Raises:
        SkyOpsError: the registry has no such version, or its files are gone.
    """
    import platform

    import mlflow.artifacts
    import mlflow.models
    from mlflow.exceptions import MlflowException

    uri = f"models:/{name}/{version}"
    try:
        flavors = mlflow.models.get_model_info(uri).flavors
        text = mlflow.artifacts.load_text(f"{uri}/requirements.txt")
    except (MlflowException, OSError) as error:
        raise SkyOpsError(
            f"What {name}:{version} was made with cannot be read from MLflow ({error}). Restore "
            "MLflow's database and artifacts."
        ) from error
    found = {"Python": (flavors["python_function"]["python_version"], platform.python_version())}
    for line in text.splitlines():
        library, is_pinned, was = line.partition("==")
        if is_pinned:
            with suppress(PackageNotFoundError):
                found[library] = (was, installed(library))
    return found


def log_evaluation(
    client: MlflowClient,
    mlflow_run_id: str,
    metrics: dict[str, float | None],
    images: dict[str, bytes],
    texts: dict[str, str],
) -> None:
    """Add metrics (those that could be computed) and files to a training's run."""
    import tempfile

    for name, value in metrics.items():
        if value is not None:
            client.log_metric(mlflow_run_id, name, value)
    files = {**images, **{name: text.encode() for name, text in texts.items()}}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(mlflow_run_id, folder, "evaluation")


def keep_onnx(client: MlflowClient, mlflow_run_id: str, content: bytes) -> None:
    """Have the ONNX graph as the run's ``model.onnx``, in the place of another one."""
    import tempfile

    with suppress(SkyOpsError):
        if read_onnx(client, mlflow_run_id) == content:
            return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ONNX_FILE
        path.write_bytes(content)
        client.log_artifact(mlflow_run_id, str(path))


def onnx_of(warehouse: Warehouse, settings: Settings, version: ModelVersion) -> bytes:
    """The ONNX graph of a version, without MLflow where its artifacts are files of this machine.

    The same where they are in a bucket. Not to import MLflow and scikit-learn spares a process that
    only asks the graph 120 MB.

    Raises:
        SkyOpsError: the run or the file is gone.
    """
    root = location(settings)
    if root.startswith(("file://", S3)):
        with suppress(OSError):  # Elsewhere than now when the experiment was made: MLflow knows.
            kept = open_place(root).read(f"{version.mlflow_run_id}/artifacts/{ONNX_FILE}")
            if kept is not None:
                return kept
    return read_onnx(configure(warehouse, settings), version.mlflow_run_id)


def read_onnx(client: MlflowClient, mlflow_run_id: str) -> bytes:
    """The ONNX graph of a training's run.

    Raises:
        SkyOpsError: the run or the file is gone.
    """
    import tempfile

    from mlflow.exceptions import MlflowException

    try:
        with tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(mlflow_run_id, ONNX_FILE, folder)).read_bytes()
    except (MlflowException, OSError) as error:
        raise SkyOpsError(
            f"MLflow's run {mlflow_run_id} has no {ONNX_FILE} ({error}). Materialise "
            "ml/training_runs again: it adds the file."
        ) from error


def log_card(
    client: MlflowClient,
    name: str,
    version: str,
    mlflow_run_id: str,
    *,
    text: str,
    tags: dict[str, str],
) -> None:
    """Keep a model card as the run's ``model_card.md`` and the version's description.

    Raises:
        SkyOpsError: MLflow has the version or its run no more, or cannot write the file.
    """
    from mlflow.exceptions import MlflowException

    description = text
    if len(text) > MAX_DESCRIPTION:
        more = "\n\n(More in the run's artifact model_card.md.)\n"
        description = text[: MAX_DESCRIPTION - len(more)].rsplit("\n", 1)[0] + more
    try:
        found = client.get_model_version(name, version)
        if found.run_id != mlflow_run_id:
            raise OSError(f"there it is of run {found.run_id}, not {mlflow_run_id}")
        client.log_text(mlflow_run_id, text, "model_card.md")
        client.update_model_version(name, version, description)
        for key, value in tags.items():
            if found.tags.get(key) != value:
                client.set_model_version_tag(name, version, key, value)
    except (MlflowException, OSError) as error:
        raise SkyOpsError(
            f"The card of {name}:{version} cannot be kept in MLflow ({error}). "
            f"`{command(name, f'show {version}')}` shows it; restore MLflow's database and "
            "artifacts."
        ) from error


def load(client: MlflowClient, name: str, version: str, mlflow_run_id: str) -> Any:
    """The fitted pipeline of a version.

    Raises:
        SkyOpsError: the registry has no such version, has it from another run, or its files
            are gone or broken.
    """
    import mlflow.sklearn

    try:
        found = client.get_model_version(name, version)
        if found.run_id != mlflow_run_id:
            raise SkyOpsError(
                f"MLflow's {name}:{version} is of run {found.run_id}, but ml.model_versions has it "
                f"of run {mlflow_run_id}. The MLflow database was replaced: restore it, or train "
                "again."
            )
        return mlflow.sklearn.load_model(f"models:/{name}/{version}")
    except SkyOpsError:
        raise
    except Exception as error:  # Half a file fails as a zip, as YAML, or within skops.
        raise SkyOpsError(
            f"The model {name}:{version} cannot be loaded from MLflow ({type(error).__name__}: "
            f"{error}). Restore MLflow's database and artifacts, or train and promote again."
        ) from error


def require_own(
    client: MlflowClient, warehouse: Warehouse, settings: Settings, version: ModelVersion
) -> None:
    """See that MLflow has a version as one of this environment, for several may share a registry.

    Raises:
        SkyOpsError: it is another one's, or MLflow has it no more.
    """
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_model_version(version.model_name, version.version).tags
    except MlflowException as error:
        raise SkyOpsError(
            f"MLflow does not have {version.label} ({error}). Restore MLflow's database, or train "
            "again."
        ) from error
    # A version of before there were names has no tag.
    env = tags.get(ENV, settings.env)
    if env not in {settings.env, *environments.names(warehouse)}:
        raise SkyOpsError(of_another(version, env, settings.env))


def set_challenger(client: MlflowClient, name: str, version: str) -> None:
    """Put the alias ``challenger`` on the version of the latest training run."""
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) != version:
        client.set_registered_model_alias(name, CHALLENGER, version)


def follow_champion(client: MlflowClient, name: str, version: str | None) -> bool:
    """Put the alias ``champion`` where ``ml.model_versions`` says; True where it moved."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        return False  # Nothing was registered yet.
    current = aliases.get(CHAMPION)
    if (current and str(current)) == version:
        return False
    if version is None:
        client.delete_registered_model_alias(name, CHAMPION)
    else:
        client.set_registered_model_alias(name, CHAMPION, version)
    return True


def ensure_model(client: MlflowClient, name: str) -> None:
    """Have a registered model of this name."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def location(settings: Settings) -> str:
    """The root of MLflow's artifacts as a URI."""
    root = settings.artifact_root
    return root if "://" in root else Path(root).absolute().as_uri()


def recorded_location(warehouse: Warehouse, settings: Settings) -> str | None:
    """The root of MLflow's artifacts as the experiment has it since its first use.

    MLflow writes there whatever the settings say. None: it was never used.
    """
    with (
        warehouse.connect(settings.mlflow_database) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select to_regclass('public.experiments')")
        if cursor.fetchone() == (None,):
            return None
        cursor.execute("select artifact_location from experiments where name = %s", (EXPERIMENT,))
        found = cursor.fetchone()
    return None if found is None else str(found[0])


def root_in_use(warehouse: Warehouse, settings: Settings) -> str:
    """`recorded_location`, or `location` before MLflow's first use."""
    return recorded_location(warehouse, settings) or location(settings)


def open_root(root: str) -> Store | None:
    """MLflow's files at an address; None where only MLflow can read them."""
    return open_place(root) if root.startswith(("file://", S3)) else None


def relocate(warehouse: Warehouse, settings: Settings, before: str, now: str) -> None:
    """Let MLflow find its files where they are now, all in one transaction.

    Args:
        before: the root of its artifacts that it has in its tables, a URI.
        now: the root below which they lie now.
    """
    if now == before:
        return
    with (
        warehouse.connect(settings.mlflow_database) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'public'"
        )
        # None where MLflow was never used; an older one lacks some.
        for table, column in set(_LOCATIONS).intersection(cursor.fetchall()):
            cursor.execute(
                f"update {table} set {column} = %s || substr({column}, length(%s) + 1) "  # noqa: S608
                f"where {column} = %s or starts_with({column}, %s)",
                (now, before, before, f"{before}/"),
            )
