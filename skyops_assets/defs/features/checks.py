"""Checks on the features that training and predictions read."""

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import rules_result


@dg.asset_check(asset=["features", "arrival_features"], blocking=True)
def features_hold_together(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Times, labels and counts of every arrival fit each other. Blocks training."""
    from skyops_assets.quality.rules import FEATURES, broken

    return rules_result(broken(warehouse.open(), "features.arrival_features", FEATURES))
