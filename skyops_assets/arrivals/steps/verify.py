"""Whether the registered challenger is what it says: loadable, sane, repeatable, also as ONNX.

Belongs here: looking at the latest training run from outside. Does not: judging how good it
is (`evaluate`, `gate.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass

from skyops_assets.arrivals.features import RING_NM, named
from skyops_assets.arrivals.learning import fit, onnx_model, recipes, split
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.scoring import LONGEST_TRANSIT_MIN
from skyops_assets.arrivals.store import training, versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Verdict:
    """What was found; `problem` is None for a sound challenger or when none was trained."""

    version: str | None
    train_rows: int
    problem: str | None
    largest_difference_min: float | None = None
    largest_onnx_difference_min: float | None = None


def verify_challenger(warehouse: Warehouse, settings: Settings, ring_nm: int = RING_NM) -> Verdict:
    """Load the latest challenger, predict its training rows, also by ONNX, and fit it again.

    Raises:
        SkyOpsError: nothing was trained yet, or the training rows are gone.
    """
    import numpy as np

    run = training.latest_training_run(warehouse, versions.model_name(ring_nm))
    if run is None:
        raise SkyOpsError(
            f"Nothing has been trained yet; materialise ml/{named('training_runs', ring_nm)} first."
        )
    challenger = versions.version_of(warehouse, run.training_run_id)
    if challenger is None:
        return Verdict(None, run.train_rows, None)
    client = registry.configure(warehouse, settings)
    try:
        model = registry.load(
            client, challenger.model_name, challenger.version, challenger.mlflow_run_id
        )
        portable = registry.read_onnx(client, challenger.mlflow_run_id)
        onnx_model.outputs(portable)  # Whether it is whole.
    except SkyOpsError as error:
        return Verdict(challenger.version, run.train_rows, str(error))
    rows = split.temporal_split(
        training.read_snapshot(settings, run.fingerprint, challenger.label), run.train_share
    ).train
    answers = fit.predict_all(model, rows)
    again = fit.fit(rows, recipes.Recipe(run.recipe, run.params))
    difference = fit.max_abs_difference(answers, fit.predict_all(again, rows))
    minutes = answers[fit.OUTPUTS[0]]
    sane = np.isfinite(minutes) & (minutes > 0) & (minutes <= LONGEST_TRANSIT_MIN)
    apart = onnx_model.difference(portable, model, rows)
    problem = None
    if not sane.all():
        problem = (
            f"{int((~sane).sum())} of {len(rows)} predictions are not within 0 to "
            f"{LONGEST_TRANSIT_MIN} min"
        )
    elif difference != 0:
        problem = (
            f"fitting the same rows again gives other predictions (up to {difference:.3g} min "
            "apart): the recipe or a library changed; train again"
        )
    elif not apart <= onnx_model.TOLERANCE_MIN:
        problem = (
            f"{registry.ONNX_FILE} predicts differently from the pipeline (up to {apart:.3g} min "
            f"apart, {onnx_model.TOLERANCE_MIN:g} are allowed): correct arrivals/onnx_model.py"
        )
    return Verdict(challenger.version, len(rows), problem, difference, apart)
