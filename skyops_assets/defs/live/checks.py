"""The check of the live lane, and who looks between its runs."""

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, as_metadata
from skyops_assets.instance.private import latest_check_result
from skyops_assets.quality.lane import Lane, lane, lane_problem
from skyops_assets.warehouse.connection import Warehouse

FEED = dg.AssetKey(["live", "feed"])


@dg.asset_check(asset=FEED, metadata=OWNED)
def lane_keeps_up(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No load of live positions waits more than a minute to be built into the models.

    The limit is ten minutes while another dbt run writes. Blocks nothing, because nothing is
    downstream, and is an error so that it raises an alert. The sensor `alerts` also checks every
    30 seconds and reports a result when it changes or when the asset was rebuilt.
    """
    found = lane(warehouse.open())
    problem = lane_problem(found)
    return dg.AssetCheckResult(
        passed=problem is None, description=problem, metadata=as_metadata(_shown(found))
    )


def watch_lane(instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
    """Report what the check says, where that is news."""
    found = lane(warehouse)
    if found is None:
        return
    made = instance.get_latest_materialization_event(FEED)
    has_passed, checked_at = latest_check_result(instance, lane_keeps_up.check_key) or (None, 0.0)
    problem = lane_problem(found, was_red=has_passed is False)
    is_shown = made is None or made.timestamp < checked_at
    if is_shown and has_passed is (problem is None):
        return
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=FEED,
            check_name=lane_keeps_up.check_key.name,
            passed=problem is None,
            severity=dg.AssetCheckSeverity.ERROR,
            description=problem,
            metadata=as_metadata(_shown(found)),
        )
    )


def _shown(found: Lane | None) -> dict[str, object]:
    if found is None:
        return {}
    return {
        "waiting_loads": found.loads,
        "waiting_since": found.since,
        "pass_ended_at": found.pass_ended_at,
    }
