"""Checks that ring when a person should look after an airframe or a component."""

import dagster as dg

from skyops_assets.defs.fleet.assets import daily_summaries, monthly_summaries, weekly_summaries
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.quality.summaries import to_do_of

OWNED = {"owner": "team:fleet"}


@dg.asset_check(asset=daily_summaries, metadata=OWNED)
def no_task_is_overdue(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No maintenance task or bulletin is past a known limit."""
    return _result(warehouse, "daily")


@dg.asset_check(asset=weekly_summaries, metadata=OWNED)
def no_component_is_in_alert(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No component is above its alert level: its year's mean plus three standard deviations."""
    return _result(warehouse, "weekly")


@dg.asset_check(asset=monthly_summaries, metadata=OWNED)
def no_unit_is_at_its_limit(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No unit with sensor readings has reached the limit of its predicted remaining life."""
    return _result(warehouse, "monthly")


def _result(warehouse: WarehouseResource, kind: str) -> dg.AssetCheckResult:
    problem = to_do_of(warehouse.open(), kind)
    return dg.AssetCheckResult(passed=problem is None, description=problem)
