"""Jobs, schedules, and the sensor that evaluates the assets' automation conditions."""

from datetime import timedelta

import dagster as dg

from skyops_assets.defs.features import checks as features
from skyops_assets.defs.platform import checks as standing
from skyops_assets.defs.raw.assets import HOURS, METAR_DAYS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.instance.processes import heartbeats
from skyops_assets.instance.repair import reap, remove_old_runs
from skyops_assets.settings import load_settings

# A retry does all steps again: resumed at the failure, the checks are in another run than the load
# that they judge, and find none of its positions.
TAGS = {"skyops/writes": "warehouse", "dagster/retry_strategy": "ALL_STEPS"}
RAW = dg.AssetKey(["raw", "opensky_states"])
HISTORY_KEY = dg.AssetKey(["raw", "arrivals_history"])
METARS_KEY = dg.AssetKey(["raw", "metars"])
FEATURES = dg.AssetKey(["features", "arrival_features"])

# By the day, where positions go by the hour: a job has one kind of partition.
HISTORY = dg.AssetSelection.assets(HISTORY_KEY)
METARS = dg.AssetSelection.assets(METARS_KEY)

# They look at what stands still, and would only make a load or a transform longer.
STANDING = dg.AssetSelection.checks(
    standing.no_hour_is_left_failed,
    standing.no_day_is_left_failed,
    standing.no_day_of_reports_is_left_failed,
    standing.no_run_is_orphaned,
    standing.disk_has_room,
    standing.loads_are_transformed,
    standing.champion_has_seen_recent_arrivals,
    standing.predictions_get_outcomes,
)

main_job = dg.define_asset_job(
    "main",
    selection=dg.AssetSelection.all() - HISTORY - METARS - STANDING,
    tags=TAGS,
    description="The whole graph, from the positions of the chosen hours to the predictions.",
)

history_job = dg.define_asset_job(
    "load_history",
    selection=HISTORY - STANDING,
    tags=TAGS,
    description="The open per-arrival history of the chosen days.",
)

metars_job = dg.define_asset_job(
    "load_metars",
    selection=METARS - STANDING,
    tags=TAGS,
    description="The weather reports of the chosen days, where SKYOPS_METAR_URL is set.",
)

FOLLOWING = dg.AssetSelection.groups("transform", "features", "predictions")

# The checks too: what a collector or `skyops load` wrote was not checked in a run of its own, and a
# check that was red in a run of the load alone would hold nothing back here.
REFRESHED = (
    FOLLOWING | dg.AssetSelection.checks_for_assets(RAW, HISTORY_KEY, METARS_KEY)
) - STANDING

refresh_job = dg.define_asset_job(
    "refresh",
    selection=REFRESHED,
    tags=TAGS,
    description="Everything that follows from what is already loaded, with the present model.",
)

retrain_job = dg.define_asset_job(
    "retrain",
    # With the checks of what it learns from, which were red in another run.
    selection=(
        dg.AssetSelection.groups("model", "predictions")
        | dg.AssetSelection.checks(
            features.features_hold_together,
            features.arrival_features_columns,
            features.crossing_features_columns,
            features.history_crossing_features_columns,
        )
    )
    - STANDING,
    tags=TAGS,
    description="Train a challenger, evaluate it, decide on its promotion, predict.",
)


@dg.schedule(
    job=refresh_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    description="Every hour: rebuild what follows from positions, the history of arrivals and "
    "weather reports, if any were loaded since.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A run if anything was loaded since the last one, or if that one failed.

    Weather alone is nothing to build from.
    """
    positions = context.instance.get_latest_materialization_event(RAW)
    arrivals = context.instance.get_latest_materialization_event(HISTORY_KEY)
    loads = [event for event in (positions, arrivals) if event]
    if not loads:
        return dg.SkipReason("Neither positions nor arrivals of the history have been loaded yet.")
    request = dg.RunRequest()
    if positions is None and context.repository_def:
        # With the history alone: the checks of positions would fail for want of any.
        graph = context.repository_def.asset_graph
        request = dg.RunRequest(
            asset_selection=sorted(FOLLOWING.resolve(graph)),
            asset_check_keys=sorted(
                key for key in REFRESHED.resolve_checks(graph) if key.asset_key != RAW
            ),
        )
    built = context.instance.get_latest_materialization_event(FEATURES)
    if built is None:
        return request
    # Its start counts, not its end: what came while it ran may have come too late for it. What its
    # own run loaded was there.
    record = context.instance.get_run_record_by_id(built.run_id)
    if record and record.dagster_run.status is dg.DagsterRunStatus.FAILURE:
        # It came so far, and something after it failed.
        return request
    began = (record and record.start_time) or built.timestamp
    weather = context.instance.get_latest_materialization_event(METARS_KEY)
    for load in [*loads, *([weather] if weather else [])]:
        if load.timestamp >= (built.timestamp if load.run_id == built.run_id else began):
            return request
    return dg.SkipReason("Nothing was loaded since the last transform.")


@dg.schedule(
    job=metars_job,
    # Just before the refresh: what counts as known by now is there, and goes with it.
    cron_schedule="3 * * * *",
    execution_timezone="UTC",
    description="Every hour, where SKYOPS_METAR_URL is set: the present day's weather reports.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_metars(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """The present day's reports, and in the first hours the day before's, which may come late."""
    if load_settings().metar_url is None:
        return dg.SkipReason("SKYOPS_METAR_URL is not set: there is no weather.")
    at = context.scheduled_execution_time
    days = [at, at - timedelta(days=1)] if at.hour < 3 else [at]
    return [
        # Dagster wants keys of several; this one holds no run back.
        dg.RunRequest(run_key=f"{day:%F} at {at}", partition_key=day.strftime(METAR_DAYS.fmt))
        for day in days
    ]


poll_job = dg.define_asset_job(
    "poll",
    selection=dg.AssetSelection.assets(RAW) - STANDING,
    tags=TAGS,
    description="One live answer of OpenSky for each watched box, into the present hour.",
)


@dg.schedule(
    job=poll_job,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    description="Every five minutes: live positions, for those who do not run `skyops collect`. "
    "So far apart they show some two thirds of the landings (docs/validation.md). "
    "Off until you switch it on, as it spends your OpenSky credits.",
)
def poll_opensky() -> dg.RunRequest:
    """One live answer for each box, into the present hour."""
    return dg.RunRequest(partition_key=HOURS.get_last_partition_key())


@dg.op(description="Asks each part that SkyOps stands on; fails where one is broken.")
def examine_parts(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> dg.Output[None]:
    """One row of `audit.monitoring_log`, and the same as a table in the run's output."""
    from skyops_assets.operations import health

    database = warehouse.open()
    found = health.examine(warehouse.settings, database, lambda: heartbeats(context.instance))
    health.record(database, found, context.run_id)
    shown = {"findings": dg.MetadataValue.md(health.markdown(found))}
    broken = [f"{one.part}: {one.says}" for one in found if one.state == health.State.BROKEN]
    if broken:
        # The alert of failed runs tells of it, and of its recovery.
        raise dg.Failure("\n".join(broken), metadata=shown, allow_retries=False)
    return dg.Output(None, metadata=shown)


@dg.job(
    description="Warehouse, disk, daemons, model, model store, OpenSky (one credit) and dbt docs. "
    "Waits for no other run, as it writes one row of the audit log only."
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
    description="Sundays at 03:00 UTC: whether all parts work.",
)


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Ends the runs whose process is gone, so that others need not wait for them.",
)
def reap_dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """See `repair.reap`; a run that failed so is tried once more by Dagster."""
    ended = reap(context.instance)
    return dg.SkipReason("; ".join(ended) or "Every unfinished run has its process.")


@dg.op(description="Removes old runs, trainings that came to nothing, and old reports.")
def remove_what_is_old(
    context: dg.OpExecutionContext, warehouse: WarehouseResource
) -> dg.Output[None]:
    """Older than SKYOPS_RUN_RETENTION_DAYS; never what an asset, version or decision needs."""
    from skyops_assets.arrivals.models import retention
    from skyops_assets.monitoring import report

    days = warehouse.settings.run_retention_days
    runs = remove_old_runs(context.instance, days)
    swept = retention.sweep(warehouse.open(), warehouse.settings, days)
    return dg.Output(
        None,
        metadata={
            "removed_runs": runs.removed,
            "kept_runs": runs.kept,
            "removed_check_results": runs.check_results,
            "removed_snapshots": swept.snapshots,
            "removed_mlflow_runs": swept.mlflow_runs,
            "removed_reports": report.sweep(warehouse.settings, days),
        },
    )


@dg.job(description="Removes old runs, trainings that no version refers to, and old reports.")
def clean_up() -> None:
    """See `repair.remove_old_runs`, `arrivals.retention` and `monitoring.report.sweep`."""
    remove_what_is_old()


weekly_clean_up = dg.ScheduleDefinition(
    name="weekly_clean_up",
    job=clean_up,
    cron_schedule="0 2 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sundays at 02:00 UTC: what is older than SKYOPS_RUN_RETENTION_DAYS goes.",
)

standing_checks_job = dg.define_asset_job(
    "standing_checks",
    selection=STANDING,
    description="Looks for what goes wrong while nobody runs anything. Writes nothing, so it does "
    "not wait for the runs that do: one of those may be what hangs.",
)

standing_checks = dg.ScheduleDefinition(
    name="standing_checks",
    job=standing_checks_job,
    cron_schedule="35 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Four times a day: failed partitions, orphaned runs, disk, late loads, the "
    "champion's age, missing outcomes.",
)

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags=TAGS,
    description="Starts what the assets' automation conditions ask for.",
)
