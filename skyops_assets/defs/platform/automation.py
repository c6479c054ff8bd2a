"""Looks after the platform: health, clean-up, dead runs, periodic checks, asset conditions."""

import json

import dagster as dg

from skyops_assets.defs.platform.checks import PERIODIC
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import TAGS
from skyops_assets.instance.private import show_automation_as_on
from skyops_assets.instance.processes import heartbeats
from skyops_assets.instance.repair import reap
from skyops_assets.instance.retention import remove_old_runs
from skyops_assets.operations.pushing import reported


@dg.op(description="Checks each part that SkyOps depends on; fails if one is broken.")
def examine_parts(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> dg.Output[None]:
    """One row of `audit.monitoring_log`, and the same as a table in the run's output."""
    from skyops_assets.operations import health

    settings = warehouse.settings
    with reported("health_check", settings):
        database = warehouse.open()
        found = health.examine(settings, database, lambda: heartbeats(context.instance))
        health.record(database, found, context.run_id)
        shown = {"findings": dg.MetadataValue.md(health.markdown(found))}
        broken = [f"{one.part}: {one.says}" for one in found if one.state == health.State.BROKEN]
        if broken:
            # The alert of failed runs tells of it, and of its recovery.
            raise dg.Failure("\n".join(broken), metadata=shown, allow_retries=False)
    return dg.Output(None, metadata=shown)


@dg.job(
    description="Check the warehouse, disk, daemons, model, model store, OpenSky (one credit) and "
    "dbt docs. Waits for no other run, because it writes only one row of the audit log."
)
def health_check() -> None:
    """See `skyops_assets.operations.health`."""
    examine_parts()


weekly_health_check = dg.ScheduleDefinition(
    name="weekly_health_check",
    job=health_check,
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sundays at 03:00 UTC: check that all parts work.",
)


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=20,
    description="Ends runs whose process has died, so that other runs need not wait for them.",
)
def reap_dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """See `repair.reap`; a run that failed so is tried once more by Dagster."""
    # Here, as containers have no `skyops up` that could do it.
    show_automation_as_on(context.instance)
    ended, free_since = reap(context.instance, json.loads(context.cursor or "{}"))
    context.update_cursor(json.dumps(free_since))
    return dg.SkipReason("; ".join(ended) or "Every unfinished run has a live process.")


@dg.op(
    description="Removes old runs, old reports, and training runs that no model version came from."
)
def remove_what_is_old(
    context: dg.OpExecutionContext, warehouse: WarehouseResource
) -> dg.Output[None]:
    """Older than SKYOPS_RUN_RETENTION_DAYS; never what an asset, version or decision needs."""
    from skyops_assets.arrivals.models import retention
    from skyops_assets.arrivals.store.predictions import sweep_service_predictions
    from skyops_assets.monitoring import report

    settings, database = warehouse.settings, warehouse.open()
    days = settings.run_retention_days
    with reported("clean_up", settings):
        runs = remove_old_runs(context.instance, days)
        swept = retention.sweep(database, settings, days)
        asked = sweep_service_predictions(database)
    return dg.Output(
        None,
        metadata={
            "removed_runs": runs.removed,
            "thinned_runs": runs.thinned,
            "removed_check_results": runs.check_results,
            "removed_snapshots": swept.snapshots,
            "removed_mlflow_runs": swept.mlflow_runs,
            "removed_service_predictions": asked,
            "removed_reports": report.sweep(settings, days),
        },
    )


@dg.job(
    description="Removes old runs, old reports, and training runs that no model version refers to."
)
def clean_up() -> None:
    """See `instance.retention`, `models.retention.sweep` and `monitoring.report.sweep`."""
    remove_what_is_old()


daily_clean_up = dg.ScheduleDefinition(
    name="daily_clean_up",
    job=clean_up,
    cron_schedule="20 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 02:20 UTC: remove runs older than SKYOPS_RUN_RETENTION_DAYS, and all "
    "but the newest runs of each job.",
)

periodic_checks_job = dg.define_asset_job(
    "periodic_checks",
    selection=PERIODIC,
    description="Look for what goes wrong between runs. Writes nothing, so it does not wait for "
    "runs that write: one of them may be the run that hangs.",
)

periodic_checks = dg.ScheduleDefinition(
    name="periodic_checks",
    job=periodic_checks_job,
    cron_schedule="35 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Four times a day: check for failed partitions, orphaned runs, a full disk, late "
    "loads, an old champion and missing outcomes.",
)

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags=TAGS,
    description="Starts the runs that the assets' automation conditions request.",
)
