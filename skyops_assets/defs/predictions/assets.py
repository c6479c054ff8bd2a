"""Predictions for every crossing, and their outcomes."""

import dagster as dg

from skyops_assets.defs.model.assets import promotion_decisions
from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import as_metadata, failed_once

RETRY = (
    failed_once()
    & ~dg.AutomationCondition.any_deps_in_progress()
    # Where its input failed, that is to be made first.
    & ~dg.AutomationCondition.any_deps_match(dg.AutomationCondition.execution_failed())
)
WHEN_FED = (
    (dg.AutomationCondition.eager() | RETRY)
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("new input, or a first failure, and the input's blocking checks passed")


@dg.asset(
    **placed("ml", "predictions"),
    deps=[
        dg.AssetKey(["features", "crossing_features"]),
        promotion_decisions,
    ],
    kinds={"scikitlearn", "postgres"},
    automation_condition=WHEN_FED,
)
def predictions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per ring crossing and model version: when it lands, if it lands at this airport.

    Of the open history those at watched airports that the predictor has not learned from. The
    champion predicts; without one the best baseline does, under its own name.
    """
    from skyops_assets.arrivals.steps.predict import predict_crossings

    made = predict_crossings(warehouse.open(), warehouse.settings)
    if not made.is_champion:
        context.log.info(f"There is no champion; {made.model_name} predicts.")
    if made.store_problem:
        context.log.warning(made.store_problem)
    return dg.MaterializeResult(metadata=as_metadata(vars(made)))


@dg.asset(
    **placed("ml", "prediction_outcomes"),
    deps=[
        predictions,
        dg.AssetKey(["metrics", "fct_movements"]),
        dg.AssetKey(["metrics", "fct_flights"]),
        dg.AssetKey(["metrics", "fct_arrivals"]),
    ],
    kinds={"postgres"},
    automation_condition=WHEN_FED,
)
def prediction_outcomes(warehouse: WarehouseResource) -> dg.MaterializeResult:
    """One row per prediction: whether and when the flight landed, and by how much it was off."""
    from skyops_assets.arrivals.steps.predict import record_outcomes

    return dg.MaterializeResult(
        metadata=as_metadata(vars(record_outcomes(warehouse.open(), warehouse.settings)))
    )
