"""Predictions for every crossing, and their outcomes."""

import dagster as dg

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.rings import by_ring, each_ring, ring_key
from skyops_assets.defs.shared import failed_once

DECISIONS = [ring_key("promotion_decisions", ring_nm) for ring_nm in RINGS_NM]
MISSING = dg.AutomationCondition.any_deps_missing()

RETRY = (
    failed_once()
    & ~dg.AutomationCondition.any_deps_in_progress()
    # Where its input failed, that is to be made first.
    & ~dg.AutomationCondition.any_deps_match(dg.AutomationCondition.execution_failed())
)
# A ring on whose model nothing was decided yet is predicted by a baseline.
EAGER = dg.AutomationCondition.eager().replace(
    MISSING, MISSING.ignore(dg.AssetSelection.assets(*DECISIONS))
)
WHEN_FED = ((EAGER | RETRY) & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label(
    "new input or a first failure, and the input's blocking checks have passed"
)


@dg.asset(
    **placed("ml", "predictions"),
    deps=[
        dg.AssetKey(["features", "crossing_features"]),
        dg.AssetKey(["features", "landing_probabilities"]),
        *DECISIONS,
    ],
    kinds={"scikitlearn", "postgres"},
    automation_condition=WHEN_FED,
)
def predictions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per ring crossing and model version: when the flight lands, if it lands here.

    From the open history, only crossings at watched airports that the model has not learned from
    are predicted. The ring's champion predicts; without one, the best baseline does, under its own
    name.
    """
    from skyops_assets.arrivals.steps.predict import predict_crossings

    database, settings = warehouse.open(), warehouse.settings
    found = each_ring(lambda ring_nm: predict_crossings(database, settings, ring_nm=ring_nm))
    for ring_nm, made in found.items():
        if not made.is_champion:
            context.log.info(f"{ring_nm} NM: there is no champion; {made.model_name} predicts.")
        if made.store_problem:
            context.log.warning(made.store_problem)
    return dg.MaterializeResult(
        metadata=by_ring({ring_nm: vars(made) for ring_nm, made in found.items()})
    )


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
    """One row per prediction: whether and when the flight landed, and the prediction's error."""
    from skyops_assets.arrivals.steps.predict import record_outcomes

    database, settings = warehouse.open(), warehouse.settings
    return dg.MaterializeResult(
        metadata=by_ring(
            each_ring(lambda ring_nm: vars(record_outcomes(database, settings, ring_nm=ring_nm)))
        )
    )
