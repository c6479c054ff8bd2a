"""How long components live, and which units are near their end."""

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import as_metadata
from skyops_assets.reliability.steps import Made, fit_component_lives, make_failure_outlook


def _staged(*names: str) -> list[dg.AssetKey]:
    return [dg.AssetKey(["staging", f"stg_operator__{name}"]) for name in names]


@dg.asset(
    **placed("ml", "component_lives"),
    deps=_staged(
        "maintenance_events",
        "configurations",
        "exposure",
        "parts",
        "maintenance_programmes",
        "sensor_readings",
    ),
    kinds={"scipy", "postgres"},
)
def component_lives(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per component and measure: its survival, and an interval if the evidence suffices.

    Every decision on an interval is a row of `audit.reliability_decisions`, with its reasons. Not
    recommending one is a normal outcome.
    """
    return _result(
        context,
        fit_component_lives(
            warehouse.open(),
            warehouse.settings.reliability_policy,
            dagster_run_id=context.run.run_id,
        ),
    )


@dg.asset(
    **placed("ml", "failure_outlook"),
    deps=_staged("sensor_readings"),
    kinds={"scikitlearn", "postgres"},
)
def failure_outlook(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per unit with sensor readings: remaining life and probability of failure.

    The models' errors are in `ml.outlook_evaluations`, and every decision on a model, with its
    reasons, in `audit.reliability_decisions`.
    """
    return _result(
        context,
        make_failure_outlook(
            warehouse.open(),
            warehouse.settings.reliability_policy,
            dagster_run_id=context.run.run_id,
        ),
    )


def _result(context: dg.AssetExecutionContext, made: Made) -> dg.MaterializeResult:
    context.log.info(made.sentence)
    return dg.MaterializeResult(
        metadata=as_metadata(
            {
                "dagster/row_count": made.rows,
                "recommended": made.recommended,
                "new_decisions": made.new_decisions,
                "summary": made.sentence,
                "decisions": dg.MetadataValue.md(made.shown) if made.shown else None,
            }
        )
    )
