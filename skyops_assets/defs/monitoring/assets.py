"""The verdict on the champion: its skill, the drift of what it sees, and what follows."""

from typing import Any

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.predictions.assets import prediction_outcomes
from skyops_assets.defs.resources import Graph, WarehouseResource
from skyops_assets.defs.rings import by_ring, each_ring, ring_key
from skyops_assets.instance.check_results import failed_checks
from skyops_assets.operations.entrance import address
from skyops_assets.operations.pushing import reported


class MonitorConfig(dg.Config):
    """Who requests a retraining: `schedule` or `button`; by default nobody does."""

    request: str | None = None


@dg.asset(
    **placed("audit", "monitoring_log"),
    deps=[prediction_outcomes, dg.AssetKey(["features", "arrival_features"])],
    kinds={"scikitlearn", "postgres"},
)
def monitoring_log(
    context: dg.AssetExecutionContext,
    config: MonitorConfig,
    warehouse: WarehouseResource,
    graph: dg.ResourceParam[Graph],
) -> dg.MaterializeResult:
    """One row per verdict: skill and drift in the latest window, and whether to retrain, with why.

    Each run adds one row per ring's champion and writes the drift report. Failed runs and health
    checks are logged in the same table.
    """
    from skyops_assets.monitoring import report
    from skyops_assets.monitoring.monitor import monitor_champion

    database, settings = warehouse.open(), warehouse.settings
    pages = f"{address(settings)}/reports/champion"

    def look(ring_nm: int) -> dict[str, Any]:
        found = monitor_champion(
            database,
            settings,
            ring_nm=ring_nm,
            request=config.request,
            quality_failures=failed_checks(
                context.instance, graph(), ring_key("training_sets", ring_nm)
            ),
            run_id=context.run.run_id,
        )
        report.publish(database, settings, found)
        picture = report.picture(found)
        context.log.info(f"{ring_nm} NM: {found.verdict}; {found.decision.sentence}")
        return {
            "verdict": found.verdict,
            "decision": found.decision.sentence,
            "log_id": found.log_id,
            "at": found.at,
            "model_version": found.model_version,
            "skill": found.skill,
            "drift_score": found.drift_score,
            "drifted": found.drift.columns if found.drift else None,
            "summary": dg.MetadataValue.md(report.markdown(found)),
            "drift_report": dg.MetadataValue.url(f"{pages}/{found.log_id}"),
            "errors_by_day": dg.MetadataValue.md(picture) if picture else None,
        }

    with reported("monitor", settings):
        return dg.MaterializeResult(metadata=by_ring(each_ring(look)))
