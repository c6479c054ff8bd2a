"""Checks on the predictions."""

import dagster as dg

from skyops_assets.defs.predictions.assets import predictions
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import rules_result


@dg.asset_check(asset=predictions)
def predictions_hold_together(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Every crossing has a prediction, its times fit each other, and its model is named."""
    from skyops_assets.arrivals.steps import RING_NM
    from skyops_assets.quality.rules import PREDICTIONS, broken, crossings_without_prediction

    database = warehouse.open()
    found = broken(database, "ml.predictions", PREDICTIONS)
    missing = crossings_without_prediction(database, RING_NM)
    found[f"every crossing of the {RING_NM} NM ring has a prediction"] = missing
    return rules_result(found)
