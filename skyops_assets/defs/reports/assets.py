"""The reports of the week and the month, one per airport."""

from typing import TYPE_CHECKING

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.reporting.markdown import table

if TYPE_CHECKING:
    from skyops_assets.reports.periods import Kind

_DEPS = [
    dg.AssetKey(path)
    for path in (
        ["metrics", "fct_movements"],
        ["metrics", "fct_arrivals"],
        ["metrics", "asma_fixed_daily"],
        ["metrics", "fct_taxi_times"],
        ["metrics", "fct_holdings"],
        ["metrics", "runway_configuration_changes"],
        ["metrics", "punctuality_daily"],
        ["metrics", "fleet_daily"],
        ["metrics", "component_reliability_weekly"],
        ["ml", "prediction_outcomes"],
    )
]


@dg.asset(**placed("audit", "weekly_reports"), deps=_DEPS, kinds={"html"})
def weekly_reports(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One page per airport for its latest week, in the service at /reports.

    Shows traffic, punctuality, runways, fleet, reliability and predictions beside the week before
    and the same week a year ago. Stored in `audit.reports`.
    """
    return _published(context, warehouse, "week")


@dg.asset(**placed("audit", "monthly_reports"), deps=_DEPS, kinds={"html"})
def monthly_reports(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One page per airport for its latest month, in the service at /reports.

    Shows traffic, punctuality, runways, fleet, reliability and predictions beside the month before
    and the same month a year ago. Stored in `audit.reports`.
    """
    return _published(context, warehouse, "month")


def _published(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, kind: "Kind"
) -> dg.MaterializeResult:
    from skyops_assets.operations.entrance import address
    from skyops_assets.reports.store import publish

    service = address(warehouse.settings)
    made = publish(warehouse.open(), warehouse.settings, kind)
    for one in made:
        context.log.info(f"{one.title}: {service}{one.path}")
    if not made:
        context.log.info("No reports were written: no airport has movements yet.")
    links = [(f"[{one.title}]({service}{one.path})",) for one in made]
    return dg.MaterializeResult(
        metadata={
            "reports": dg.MetadataValue.md(
                table(("report",), links) if made else "No airport has movements yet."
            )
        }
    )
