"""The verdict on the champion: its skill, the drift of what it sees, and what follows."""

import dagster as dg

from skyops_assets.defs.model.assets import training_sets
from skyops_assets.defs.policies import placed
from skyops_assets.defs.predictions.assets import prediction_outcomes
from skyops_assets.defs.resources import Graph, WarehouseResource
from skyops_assets.defs.shared import as_metadata
from skyops_assets.instance.check_results import failed_checks


class MonitorConfig(dg.Config):
    """Why the question is asked: `schedule`, `button`, or for no reason of its own."""

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
    """One row per verdict: skill and drift of the latest window, and whether to retrain, with why.

    The drift report. Failed runs have their rows in it too.
    """
    from skyops_assets.monitoring import report
    from skyops_assets.monitoring.monitor import monitor_champion

    database, settings = warehouse.open(), warehouse.settings
    found = monitor_champion(
        database,
        settings,
        request=config.request,
        quality_failures=failed_checks(context.instance, graph(), training_sets.key),
        run_id=context.run.run_id,
    )
    page = report.publish(database, settings, found)
    context.log.info(f"{found.verdict}; {found.decision.sentence}")
    return dg.MaterializeResult(
        metadata=as_metadata(
            {
                "verdict": found.verdict,
                "decision": found.decision.sentence,
                "log_id": found.log_id,
                "at": found.at,
                "model_version": found.model_version,
                "skill": found.skill,
                "drift_score": found.drift_score,
                "drifted": found.drift.columns if found.drift else None,
                "summary": dg.MetadataValue.md(report.markdown(found)),
                "report": dg.MetadataValue.path(str(page)),
            }
        )
    )
