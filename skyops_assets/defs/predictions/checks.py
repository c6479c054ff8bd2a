"""Checks on the predictions."""

import dagster as dg

from skyops_assets.defs.predictions.assets import predictions
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import rules_result


@dg.asset_check(asset=predictions)
def predictions_hold_together(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Every crossing has a prediction, its times fit each other, and its model is named."""
    from skyops_assets.quality.rules import PREDICTIONS, broken, crossings_without_prediction

    database = warehouse.open()
    found = broken(database, "ml.predictions", PREDICTIONS)
    found["every ring crossing has a prediction"] = crossings_without_prediction(database)
    return rules_result(found)
