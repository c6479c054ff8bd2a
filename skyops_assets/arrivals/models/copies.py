"""Bringing a model version from another environment: `skyops model copy`.

Belongs here: reading it there, what is checked, and registering it here as challenger. Does not:
making it champion, which is the gatekeeper's or a person's (`champions`), as with any version.

MLflow's run and files come first, then one transaction with the training run, the version and who
copied it. Killed before that, MLflow holds files that belong to no version, which the clean-up
removes, and copying again copies anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning import split
from skyops_assets.arrivals.models import card, champions, graphs, registry, transfer
from skyops_assets.arrivals.store import training, versions
from skyops_assets.arrivals.store.training import TrainingRun, TrainingSet
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import copy_file, open_store
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse, parse_url
from skyops_assets.warehouse.query import fetch_one, insert_statement

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Copied:
    """What `copy` registered here; `files` counts those that were copied with their hashes."""

    model_name: str
    version: str
    from_env: str
    from_version: str
    fingerprint: str
    files: int
    actor: str
    reason: str


def copy(
    warehouse: Warehouse, settings: Settings, number: str, reason: str, *, ring_nm: int
) -> Copied:
    """Register a version of the environment that the settings name as source; here, as challenger.

    Raises:
        SkyOpsError: the source is not named, cannot be read or is this environment; it has no such
            version or lacks its files; the version was copied before; or the reason is empty.
    """
    if not reason.strip():
        raise SkyOpsError("The reason is empty; say in --reason why the version is copied.")
    source, env = _source(settings)
    name = versions.model_name(ring_nm)
    client = registry.configure(warehouse, settings)
    with _blamed():
        theirs = transfer.elsewhere(source, settings.source_mlflow_database)
        there = champions.find(source, name, number)
        run, training_set = _training(source, there)
        text = card.markdown(card.gather(source, there))
        graph_hash = _graph_hash(source, there)
    rows = _rows(settings, there, training_set, run)
    with versions.champion_lock(warehouse, name, "skyops.copy"):
        if before := versions.model_copy(warehouse, "from_mlflow_run_id", there.mlflow_run_id):
            raise SkyOpsError(
                f"{there.label} of {env} was copied already: here it is version {before.version}."
            )
        _copy_snapshot(settings, run.fingerprint)
        tags = {registry.ENV: settings.env, "copied_from": f"{env}:{there.label}"}
        registered, files = transfer.copy_version(theirs, client, there, tags)
        content = registry.read_onnx(client, registered.mlflow_run_id)
        if graph_hash not in (None, hashlib.sha256(content).digest()):
            raise SkyOpsError(
                f"The graph of {there.label} in MLflow is not the one that {env} serves; train "
                "there again, and copy that version."
            )
        version = ModelVersion(
            name, registered.version, run.training_run_id, run.fingerprint,
            registered.mlflow_run_id, is_champion=False, trained_through_at=run.trained_through_at,
        )  # fmt: skip
        who = champions.actor(settings)
        _note(warehouse, run, training_set, version, there, env=env, files=files, card=text,
              actor=who, reason=reason.strip())  # fmt: skip
    graphs.keep(warehouse, version, content, split.temporal_split(rows, run.train_share).train)
    registry.set_challenger(client, name, version.version)
    card.publish(warehouse, client, version)
    return Copied(name, version.version, env, there.version, run.fingerprint, len(files), who,
                  reason.strip())  # fmt: skip


def _source(settings: Settings) -> tuple[Warehouse, str]:
    """The warehouse of the other environment, and that one's name."""
    if settings.source_database_url is None or settings.source_store is None:
        raise SkyOpsError(
            "Where the version comes from is not set: name that environment's warehouse in "
            "SKYOPS_SOURCE_DATABASE_URL, its store (else its SKYOPS_HOME) in SKYOPS_SOURCE_STORE, "
            "and MLflow's database there in SKYOPS_SOURCE_MLFLOW_DATABASE if it is not mlflow."
        )
    with _blamed():
        url = parse_url(settings.source_database_url.get_secret_value())
        source = Warehouse(url, False, settings.connect_timeout_s)
        known = environments.names(source)
    if not known:
        raise SkyOpsError(
            f"The warehouse {source.safe_url} has no environment name yet: start its SkyOps once, "
            "of this version and with its SKYOPS_ENV."
        )
    if known[-1] == settings.env:
        raise SkyOpsError(
            f"The warehouse {source.safe_url} is of the environment {known[-1]!r} too; "
            "SKYOPS_SOURCE_DATABASE_URL names the one to copy from."
        )
    return source, known[-1]


@contextmanager
def _blamed() -> Iterator[None]:
    """What is wrong with the address is told of the source's."""
    try:
        yield
    except SkyOpsError as error:
        said = str(error).replace("SKYOPS_DATABASE_URL", "SKYOPS_SOURCE_DATABASE_URL")
        raise SkyOpsError(f"From the source: {said}") from None


def _training(source: Warehouse, there: ModelVersion) -> tuple[TrainingRun, TrainingSet]:
    run = training.training_run(source, there.training_run_id)
    training_set = training.training_set(source, there.fingerprint)
    if run is None or training_set is None:
        raise SkyOpsError(f"The training of {there.label} is not in ml.training_runs there.")
    return run, training_set


def _graph_hash(source: Warehouse, there: ModelVersion) -> bytes | None:
    row = fetch_one(
        source,
        "select sha256 from ml.model_graphs where model_name = %(name)s and version = %(version)s",
        {"name": there.model_name, "version": there.version},
    )
    return None if row is None else bytes(row["sha256"])


def _at_source(settings: Settings) -> Settings:
    return settings.model_copy(update={"store": settings.source_store})


def _rows(
    settings: Settings, there: ModelVersion, training_set: TrainingSet, run: TrainingRun
) -> pd.DataFrame:
    """The arrivals that it was trained and tested on, once they are those of the fingerprint."""
    rows = training.read_snapshot(_at_source(settings), run.fingerprint, there.label)
    # As it was frozen: without the features that came later.
    then = training_set.features or run.features
    later = [name for name in features.FEATURES if name not in then]
    if features.fingerprint(rows.drop(columns=later), run.ring_nm) != run.fingerprint:
        raise SkyOpsError(
            f"The rows in {training.snapshot_address(_at_source(settings), run.fingerprint)} are "
            f"not those that {there.label} was trained on: its SHA-256 differs."
        )
    return rows


def _copy_snapshot(settings: Settings, fingerprint: str) -> None:
    """Have the rows here, by which the gatekeeper judges and `reproduce` trains again."""
    name = training.snapshot_name(fingerprint)
    theirs, ours = open_store(_at_source(settings)), open_store(settings)
    try:
        file = theirs.find(name)
        if file and ours.find(name) is None:
            copy_file(theirs, ours, file)
    except OSError as error:
        raise SkyOpsError(
            f"{theirs.address(name)} cannot be copied to {ours.address(name)}: {error}."
        ) from error


def _note(
    warehouse: Warehouse,
    run: TrainingRun,
    training_set: TrainingSet,
    version: ModelVersion,
    there: ModelVersion,
    *,
    env: str,
    files: dict[str, str],
    **said: str,
) -> None:
    """Write the version and who copied it: all or nothing."""
    from psycopg2.extras import Json

    row = {
        "model_name": version.model_name,
        "version": version.version,
        "mlflow_run_id": version.mlflow_run_id,
        "from_env": env,
        "from_version": there.version,
        "from_mlflow_run_id": there.mlflow_run_id,
        "fingerprint": run.fingerprint,
        "files": Json(files),
        **said,
    }
    with warehouse.connect() as connection, connection.cursor() as cursor:
        training.write_foreign_training_set(cursor, training_set)
        training.write_training_run(cursor, run, version, None, env)
        cursor.execute(insert_statement("audit.model_copies", row), row)
