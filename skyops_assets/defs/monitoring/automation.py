"""What looks at the champion by itself, what starts a retraining, and what watches runs."""

import dagster as dg

from skyops_assets.arrivals.features import RINGS_NM, named
from skyops_assets.defs.monitoring.assets import MonitorConfig, monitoring_log
from skyops_assets.defs.platform.automation import TAGS
from skyops_assets.defs.resources import Graph, WarehouseResource
from skyops_assets.defs.rings import ring_key
from skyops_assets.defs.transform.automation import FEATURES
from skyops_assets.instance.check_results import failed_checks
from skyops_assets.instance.events import cause, newest_event, steps_of
from skyops_assets.instance.private import WILL_RETRY_TAG

LOG_ID = "skyops/monitoring_log_id"
FAILURE = dg.DagsterEventType.RUN_FAILURE
AT_ONCE = 100
"""Failed runs that one tick writes, so that it takes below 1 s."""

monitor_job = dg.define_asset_job(
    "monitor",
    selection=dg.AssetSelection.assets(monitoring_log),
    tags=TAGS,
    description="Monitor the champion now; with the config `request: button` also retrain it.",
)


def _look(
    context: dg.ScheduleEvaluationContext, request: str | None
) -> dg.SkipReason | dg.RunRequest:
    if context.instance.get_latest_materialization_event(FEATURES) is None:
        return dg.SkipReason("There are no features yet, so there is nothing to monitor.")
    config = MonitorConfig(request=request)
    return dg.RunRequest(run_config=dg.RunConfig(ops={monitoring_log.op.name: config}))


@dg.schedule(
    job=monitor_job,
    cron_schedule="30 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 06:30 UTC: measure skill and drift, and decide whether to retrain.",
)
def daily_monitoring(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | dg.RunRequest:
    """A look at the champions, for no reason of its own."""
    return _look(context, None)


@dg.schedule(
    job=monitor_job,
    cron_schedule="0 4 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 04:00 UTC: train a new challenger, unless a data check fails or the "
    "last retraining was a few days ago. The decision is logged in either case.",
)
def weekly_retrain(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | dg.RunRequest:
    """A look at the champions that asks for a retraining."""
    return _look(context, "schedule")


def _retrain_when_asked(ring_nm: int) -> dg.SensorDefinition:
    @dg.sensor(
        name=named("retrain_when_asked", ring_nm),
        job_name=named("retrain", ring_nm),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the retraining that the monitoring log requests for the "
        f"{ring_nm} NM ring, once per row.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        warehouse: WarehouseResource,
        graph: dg.ResourceParam[Graph],
    ) -> dg.SensorResult | dg.SkipReason:
        """A run of its job for the newest decision that asks for one and has no outcome."""
        from skyops_assets.monitoring.monitor import open_request

        log_id = open_request(warehouse.open(), ring_nm)
        if log_id is None or log_id <= int(context.cursor or 0):
            return dg.SkipReason("No row of the monitoring log requests a retraining.")
        if red := failed_checks(context.instance, graph(), ring_key("training_sets", ring_nm)):
            # Sound at the decision is not sound now. The cursor stays: it starts when they pass.
            return dg.SkipReason(f"Waiting for these checks to pass: {', '.join(red)}.")
        request = dg.RunRequest(run_key=f"monitoring_log-{log_id}", tags={LOG_ID: str(log_id)})
        return dg.SensorResult(run_requests=[request], cursor=str(log_id))

    return sensor


retrain_when_asked = [_retrain_when_asked(ring_nm) for ring_nm in RINGS_NM]


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes each failed run to `audit.monitoring_log` once, with its error.",
)
def run_failures_to_audit_log(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.SkipReason:
    """Writes the runs that failed since the last tick; the cursor moves when all are written.

    Dagster's own `run_failure_sensor` moves it in any case: a run that failed while the warehouse
    was away would be in no log, and the retraining that it was would stay open.
    """
    instance = context.instance
    if not (context.cursor or "").isdecimal():
        # What was before the first tick is no news.
        context.update_cursor(str(newest_event(instance, FAILURE)))
        return dg.SkipReason("Failed runs are logged from now on.")
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(FAILURE, after_cursor=int(str(context.cursor))),
        limit=AT_ONCE,
        ascending=True,
    )
    written = 0
    for record in records:
        if not _written(instance, record.event_log_entry, warehouse):
            break
        written += 1
    if written:
        context.update_cursor(str(records[written - 1].storage_id))
    return dg.SkipReason(f"{written} failed runs were logged.")


def _written(
    instance: dg.DagsterInstance, entry: dg.EventLogEntry, warehouse: WarehouseResource
) -> bool:
    """Write one failed run; False where it is not known yet whether it is tried again."""
    from skyops_assets.audit.log import record_failure, record_run_failure

    event = entry.dagster_event
    assert event is not None
    run = instance.get_run_by_id(entry.run_id)
    tags = run.tags if run else {}
    asked_by = tags.get(LOG_ID)
    # Dagster sets the tag a moment after the event.
    if asked_by and instance.run_retries_enabled and WILL_RETRY_TAG not in tags:
        return False
    steps = [f"{step.step_key}: {cause(step)}" for step in steps_of(instance, entry.run_id)]
    error = "\n".join(steps) or event.message or "no message"
    database = warehouse.open()
    record_run_failure(database, run_id=entry.run_id, job=event.job_name, error=error)
    # One that died is tried again by Dagster, and its second try decides.
    if asked_by and tags.get(WILL_RETRY_TAG) != "true":
        record_failure(database, int(asked_by), error)
    return True
