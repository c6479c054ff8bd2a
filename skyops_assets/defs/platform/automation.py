"""Jobs, schedules, and the sensor that evaluates the assets' automation conditions."""

import dagster as dg

from skyops_assets.defs.raw.assets import HOURS

TAGS = {"skyops/writes": "warehouse"}
RAW = dg.AssetKey(["raw", "opensky_states"])
HISTORY_KEY = dg.AssetKey(["raw", "arrivals_history"])
FEATURES = dg.AssetKey(["features", "arrival_features"])

# By the day, where positions go by the hour: a job has one kind of partition.
HISTORY = dg.AssetSelection.assets(HISTORY_KEY)

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

FOLLOWING = dg.AssetSelection.groups("transform", "features", "predictions")

refresh_job = dg.define_asset_job(
    "refresh",
    # The checks too: what a collector or `skyops load` wrote was not checked in a run of its own.
    selection=FOLLOWING | dg.AssetSelection.checks_for_assets(RAW),
    tags=TAGS,
    description="Everything that follows from what is already loaded, with the present model.",
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
    description="Every hour: rebuild what follows from positions and the history of arrivals, if "
    "any were loaded since.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A run if positions or arrivals of the history were loaded since the last one."""
    positions = context.instance.get_latest_materialization_event(RAW)
    arrivals = context.instance.get_latest_materialization_event(HISTORY_KEY)
    loads = [event for event in (positions, arrivals) if event]
    if not loads:
        return dg.SkipReason("Neither positions nor arrivals of the history have been loaded yet.")
    request = dg.RunRequest()
    if positions is None and context.repository_def:
        # With the history alone: the checks of positions would fail for want of any.
        request = dg.RunRequest(
            asset_selection=sorted(FOLLOWING.resolve(context.repository_def.asset_graph))
        )
    built = context.instance.get_latest_materialization_event(FEATURES)
    if built is None:
        return request
    # Its start counts, not its end: what came while it ran may have come too late for it. What its
    # own run loaded was there.
    record = context.instance.get_run_record_by_id(built.run_id)
    began = (record and record.start_time) or built.timestamp
    for load in loads:
        if load.timestamp >= (built.timestamp if load.run_id == built.run_id else began):
            return request
    return dg.SkipReason("Nothing was loaded since the last transform.")


poll_job = dg.define_asset_job(
    "poll",
    selection=dg.AssetSelection.assets(RAW),
    tags=TAGS,
    description="One live answer of OpenSky for each watched box, into the present hour.",
)


@dg.schedule(
    job=poll_job,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    description="Every five minutes: live positions, for those who do not run `skyops collect`. "
    "Off until you switch it on, as it spends your OpenSky credits.",
)
def poll_opensky() -> dg.RunRequest:
    """One live answer for each box, into the present hour."""
    return dg.RunRequest(partition_key=HOURS.get_last_partition_key())


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags=TAGS,
    description="Starts what the assets' automation conditions ask for.",
)
