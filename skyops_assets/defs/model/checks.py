"""Checks on the challenger."""

import dagster as dg

from skyops_assets.defs.model.assets import training_runs
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import known


@dg.asset_check(asset=training_runs, blocking=True)
def challenger_is_sound(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The registered challenger loads, predicts 0 to 120 minutes, and can be fitted again equal.

    As ONNX it predicts the same within 0.001 minutes, with missing values and unseen categories.

    Blocks evaluation and promotion. Without enough arrivals there is no challenger, and nothing
    to find fault with.
    """
    from skyops_assets.arrivals.verify import verify_challenger

    found = verify_challenger(warehouse.open(), warehouse.settings)
    no_model = "No model was trained: too few arrivals." if found.version is None else None
    return dg.AssetCheckResult(
        passed=found.problem is None,
        description=found.problem or no_model,
        metadata=known(vars(found)),
    )
