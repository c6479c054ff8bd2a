"""The alarms: the champion's skill, and drift, which explains it."""

import dagster as dg

from skyops_assets.defs.monitoring.assets import monitoring_log
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, known


@dg.asset_check(asset=monitoring_log, metadata=OWNED)
def champion_skill(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The champion's skill is not below its floor in two windows running. The primary alarm.

    Blocks nothing: the champion predicts until a better one is found. Look at the drift report, and
    at `skyops model rollback` where a promotion came before it.
    """
    from skyops_assets.monitoring.monitor import SKILL_ALARM, latest

    row = latest(warehouse.open())
    return dg.AssetCheckResult(
        passed=row.get("verdict") != SKILL_ALARM,
        severity=dg.AssetCheckSeverity.ERROR,
        description=row.get("sentence"),
        metadata=known({name: row.get(name) for name in ("skill", "verdict", "model_version")}),
    )


@dg.asset_check(asset=monitoring_log, metadata=OWNED)
def drift(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """No group of features is beyond its calibrated thresholds. Warns: someone should look."""
    from skyops_assets.monitoring.monitor import has_drift, latest

    row = latest(warehouse.open())
    return dg.AssetCheckResult(
        passed=not has_drift(row.get("drift_score")),
        severity=dg.AssetCheckSeverity.WARN,
        description=row.get("drifted"),
        metadata=known({"drift_score": row.get("drift_score")}),
    )
