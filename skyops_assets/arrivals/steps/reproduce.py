"""Trains a registered version again and says whether it is the same: `skyops model reproduce`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning import fit, onnx_model, recipes, split
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store import training
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    Attributes:
        is_same: whether the graphs have the same bytes and the models answer every row of the
            training set alike, to the last bit.
        max_difference_min: by how many minutes the two models' answers differ at most.
        differences: what is not as it was, a sentence each; with a model that is the same too.
    """

    model_name: str
    version: str
    is_same: bool
    graph_sha256: str
    graph_sha256_now: str
    max_difference_min: float
    rows: int
    differences: list[str]


def reproduce(
    warehouse: Warehouse, settings: Settings, version: ModelVersion, code_version: str
) -> Reproduction:
    """Train a version again from its snapshot, with its parameters and seed; nothing is written.

    Args:
        code_version: of the code that runs, as `runtime.code_version` gives it.

    Raises:
        SkyOpsError: its training run is not known, or its snapshot or files are gone.
    """
    run = training.training_run(warehouse, version.training_run_id)
    if run is None:
        raise SkyOpsError(
            f"ml.training_runs does not have the training {version.training_run_id} of "
            f"{version.label}: restore the warehouse from a backup."
        )
    rows = training.read_snapshot(settings, run.fingerprint, version.label)
    client = registry.configure(warehouse, settings)
    kept = registry.load(client, version.model_name, version.version, version.mlflow_run_id)
    kept_graph = registry.read_onnx(client, version.mlflow_run_id)
    train = split.temporal_split(rows, run.train_share).train
    model = fit.fit(train, recipes.Recipe(run.recipe, run.params))
    graph = onnx_model.export(model)
    difference = fit.max_abs_difference(fit.predict_all(kept, rows), fit.predict_all(model, rows))
    # As it was frozen: without the features that came later.
    frozen = training.training_set(warehouse, run.fingerprint)
    then = (frozen and frozen.features) or run.features
    later = [name for name in features.FEATURES if name not in then]
    mark = features.fingerprint(rows.drop(columns=later), run.ring_nm)
    libraries = registry.libraries(version.model_name, version.version)
    compared = [
        ("data hash", run.fingerprint, mark),
        ("code version", run.code_version or "unknown", code_version),
        ("features", ", ".join(run.features), ", ".join(features.FEATURES)),
        ("training rows", str(run.train_rows), str(len(train))),
        *((f"version of {name}", *both) for name, both in libraries.items()),
    ]
    before, now = (hashlib.sha256(one).hexdigest() for one in (kept_graph, graph))
    return Reproduction(
        model_name=version.model_name,
        version=version.version,
        is_same=before == now and difference == 0,
        graph_sha256=before,
        graph_sha256_now=now,
        max_difference_min=difference,
        rows=len(rows),
        differences=[
            f"The {what} was {was} and is {here}." for what, was, here in compared if was != here
        ],
    )
