"""The alarms: the champion's skill, and drift, which explains it; and what the service is asked."""

import dagster as dg

from skyops_assets.defs.monitoring.assets import monitoring_log
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.rings import check_of_each_ring
from skyops_assets.defs.shared import as_metadata


@check_of_each_ring(monitoring_log.key)
def champion_skill(warehouse: WarehouseResource, ring_nm: int) -> dg.AssetCheckResult:
    """The champion's skill is not below its floor in two consecutive windows. The primary alarm.

    With too few rows, the result of the last window with enough rows stands. Blocks nothing: the
    champion predicts until a better one is found. Read the drift report; if the skill fell after a
    promotion, consider `skyops model rollback`.
    """
    from skyops_assets.monitoring.monitor import SKILL_ALARM, latest_skill

    row = latest_skill(warehouse.open(), ring_nm)
    is_alarm = row.get("verdict") == SKILL_ALARM
    todo = (
        ". Read the drift report of audit/monitoring_log; if it fell after a promotion, roll back "
        f"with `skyops model rollback --ring {ring_nm}`."
    )
    return dg.AssetCheckResult(
        passed=not is_alarm,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{row['sentence']}{todo}" if is_alarm else row.get("sentence"),
        metadata=as_metadata(
            {name: row.get(name) for name in ("skill", "verdict", "model_version", "window_end_at")}
        ),
    )


@check_of_each_ring(monitoring_log.key)
def drift(warehouse: WarehouseResource, ring_nm: int) -> dg.AssetCheckResult:
    """No feature group exceeds its calibrated drift thresholds. A warning: someone should look."""
    from skyops_assets.monitoring.monitor import has_drift, latest

    row = latest(warehouse.open(), ring_nm)
    has_drifted = has_drift(row.get("drift_score"), warehouse.settings.retrain_policy)
    todo = ". The drift report of audit/monitoring_log shows how and why."
    return dg.AssetCheckResult(
        passed=not has_drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"These have drifted: {row['drifted']}{todo}"
        if has_drifted
        else row.get("drifted"),
        metadata=as_metadata({"drift_score": row.get("drift_score")}),
    )


@check_of_each_ring(monitoring_log.key)
def asked_as_learned(warehouse: WarehouseResource, ring_nm: int) -> dg.AssetCheckResult:
    """The crossings that the service is queried for resemble the champion's training data. Warns.

    Passes with too few records in the last week.
    """
    from skyops_assets.monitoring.asked import is_strange
    from skyops_assets.monitoring.monitor import latest

    details = latest(warehouse.open(), ring_nm).get("details", {})
    asked = details.get("asked", {})
    why = is_strange(asked, warehouse.settings.retrain_policy)
    todo = (
        ". Predictions for such records are guesses: look in ml.service_predictions for who sends "
        "them (key_id), and check units and airport."
    )
    return dg.AssetCheckResult(
        passed=why is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{why}{todo}" if why else asked.get("too_few"),
        metadata=as_metadata(
            {name: asked.get(name) for name in ("rows", "drift_score", "outside_share", "mae_min")}
        ),
    )
