"""Checks on the predictions."""

import dagster as dg

from skyops_assets.defs.predictions.assets import predictions
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, rules_result


@dg.asset_check(asset=predictions, metadata=OWNED)
def predictions_hold_together(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Every crossing has a prediction with consistent times and a named model."""
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.quality.rules import PREDICTIONS, broken, crossings_without_prediction

    database = warehouse.open()
    found = broken(database, "ml.predictions", PREDICTIONS)
    for ring_nm in RINGS_NM:
        missing = crossings_without_prediction(database, ring_nm)
        found[f"every crossing of the {ring_nm} NM ring has a prediction"] = missing
    return rules_result(
        found,
        "Materialise ml/predictions, which adds missing predictions. SkyOps never rewrites a "
        "prediction, so a wrong one was changed by hand: delete it, and it is predicted again.",
    )


@dg.asset_check(asset=predictions, metadata=OWNED)
def predictions_lead_back_to_their_crossing_and_model(
    warehouse: WarehouseResource,
) -> dg.AssetCheckResult:
    """Every prediction's crossing and model version exist, or the crossing is gone with a reason.

    Valid reasons are retention, an airport that is no longer watched, and late positions.
    """
    from skyops_assets.quality.references import predictions as broken

    return rules_result(
        broken(warehouse.open()),
        "Crossings or model versions were deleted outside SkyOps: restore ml.model_versions from a "
        "backup; rebuild the features with `skyops exec -- skyops-dbt build --full-refresh`.",
    )
