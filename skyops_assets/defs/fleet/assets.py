"""Fleet, reliability and punctuality: dbt models made whole by the day, week or month."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from skyops_assets.defs.operator.assets import OPERATOR_INPUTS
from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.transform.assets import MANIFEST, TRANSLATOR, build
from skyops_assets.instance.dbt_cli import chosen_nodes
from skyops_assets.transform.dbt import FLEET_MODELS

if TYPE_CHECKING:
    from skyops_assets.monitoring.summaries import Summary
    from skyops_assets.warehouse.connection import Warehouse


@chosen_nodes()(dbt_assets)(
    manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR, select=FLEET_MODELS
)
def fleet_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Build and test the fleet's daily, weekly and monthly figures from flights and records."""
    yield from build(context, dbt, warehouse)


def _keys(schema: str, *names: str) -> list[dg.AssetKey]:
    return [dg.AssetKey([schema, name]) for name in names]


def _summarised(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    kind: str,
    summarise: "Callable[[Warehouse], Summary]",
) -> dg.MaterializeResult:
    from skyops_assets.audit.log import record_summary

    database = warehouse.open()
    found = summarise(database)
    record_summary(database, kind, found.verdict, found.details, context.run.run_id)
    for one in (*found.to_do, *found.said):
        context.log.info(one)
    return dg.MaterializeResult(
        metadata={"verdict": found.verdict, "summary": dg.MetadataValue.md(found.markdown())}
    )


@dg.asset(
    **placed("audit", "daily_summaries"),
    deps=[
        *OPERATOR_INPUTS,
        *_keys("metrics", "fleet_daily", "flight_anomaly_scores", "punctuality_daily",
               "maintenance_due"),
    ],
    kinds={"postgres"},
)  # fmt: skip
def daily_summaries(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row of `audit.monitoring_log` per day: loads, flights, anomalies and maintenance due."""
    from skyops_assets.monitoring.summaries import daily

    inputs = tuple(".".join(asset.key.path) for asset in OPERATOR_INPUTS)
    return _summarised(context, warehouse, "daily", lambda database: daily(database, inputs))


@dg.asset(
    **placed("audit", "weekly_summaries"),
    deps=_keys("metrics", "component_reliability_weekly", "feed_reliability_weekly"),
    kinds={"postgres"},
)
def weekly_summaries(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row of `audit.monitoring_log` per week: components in alert or worsening."""
    from skyops_assets.monitoring.summaries import weekly

    return _summarised(context, warehouse, "weekly", weekly)


@dg.asset(
    **placed("audit", "monthly_summaries"),
    deps=[
        *_keys("metrics", "fleet_types_monthly", "dispatch_reliability_monthly"),
        *_keys("ml", "component_lives", "failure_outlook"),
    ],
    kinds={"postgres"},
)
def monthly_summaries(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row of `audit.monitoring_log` per month: fleet, dispatch and recommended intervals."""
    from skyops_assets.monitoring.summaries import monthly

    return _summarised(context, warehouse, "monthly", monthly)
