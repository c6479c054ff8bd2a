"""Jobs, schedules, and the sensor that evaluates the assets' automation conditions."""

import dagster as dg

from skyops_assets.defs.raw.assets import HOURS

TAGS = {"skyops/writes": "warehouse"}
RAW = dg.AssetKey(["raw", "opensky_states"])
FEATURES = dg.AssetKey(["features", "arrival_features"])

# By the day, where positions go by the hour: a job has one kind of partition.
HISTORY = dg.AssetSelection.assets(["raw", "arrivals_history"])

main_job = dg.define_asset_job(
    "main",
    selection=dg.AssetSelection.all() - HISTORY,
    tags=TAGS,
    description="The whole graph, from the positions of the chosen hours to the predictions.",
)

history_job = dg.define_asset_job(
    "load_history",
    selection=HISTORY,
    tags=TAGS,
    description="The open per-arrival history of the chosen days.",
)

refresh_job = dg.define_asset_job(
    "refresh",
    # The checks too: what a collector or `skyops load` wrote was not checked in a run of its own.
    selection=dg.AssetSelection.groups("transform", "features", "predictions")
    | dg.AssetSelection.checks_for_assets(RAW),
    tags=TAGS,
    description="Everything that follows from positions already loaded, with the present model.",
)

retrain_job = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.groups("model", "predictions"),
    tags=TAGS,
    description="Train a challenger, evaluate it, decide on its promotion, predict.",
)


@dg.schedule(
    job=refresh_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every hour: rebuild what follows from positions, if any were loaded since."""
    loaded = context.instance.get_latest_materialization_event(RAW)
    built = context.instance.get_latest_materialization_event(FEATURES)
    if loaded is None:
        return dg.SkipReason("No positions have been loaded yet.")
    if built is not None and built.run_id != loaded.run_id:
        # Its start counts, not its end: what came while it ran may have come too late for it.
        record = context.instance.get_run_record_by_id(built.run_id)
        began = (record and record.start_time) or built.timestamp
    else:
        began = built.timestamp if built else 0.0
    if loaded.timestamp < began:
        return dg.SkipReason("No positions were loaded since the last transform.")
    return dg.RunRequest()


poll_job = dg.define_asset_job(
    "poll",
    selection=dg.AssetSelection.assets(RAW),
    tags=TAGS,
    description="One live answer of OpenSky for each watched box, into the present hour.",
)


@dg.schedule(job=poll_job, cron_schedule="*/5 * * * *", execution_timezone="UTC")
def poll_opensky() -> dg.RunRequest:
    """Every five minutes: live positions, for those who do not run `skyops collect`.

    Off until it is switched on, as it spends the account's credits.
    """
    return dg.RunRequest(partition_key=HOURS.get_last_partition_key())


weekly_retrain = dg.ScheduleDefinition(
    name="weekly_retrain",
    job=retrain_job,
    cron_schedule="0 4 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 04:00 UTC: a new challenger on all arrivals known by then.",
)

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags=TAGS,
    description="Starts what the assets' automation conditions ask for.",
)
