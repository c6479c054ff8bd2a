"""Periodic checks: what goes wrong while nobody runs anything. They warn, in a job of their own."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from skyops_assets.defs.live.checks import lane_keeps_up
from skyops_assets.defs.predictions.assets import prediction_outcomes
from skyops_assets.defs.raw.assets import arrivals_history, metars, opensky_states
from skyops_assets.defs.raw.partitions import DAYS, HOURS, METAR_DAYS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.rings import check_of_each_ring
from skyops_assets.defs.shared import OWNED, warning
from skyops_assets.instance.private import failed_partitions
from skyops_assets.instance.repair import UNFINISHED

# Where the instance sets none, as in a test or a notebook: dagster.yaml's.
MAX_RUNTIME_S = 7200


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def no_hour_is_left_failed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """No hour of positions is left in a failed state."""
    return _failed_partitions(context, opensky_states.key, HOURS)


@dg.asset_check(asset=arrivals_history, metadata=OWNED)
def no_day_is_left_failed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """No day of the open history is left in a failed state."""
    return _failed_partitions(context, arrivals_history.key, DAYS)


@dg.asset_check(asset=metars, metadata=OWNED)
def no_day_of_reports_is_left_failed(
    context: dg.AssetCheckExecutionContext,
) -> dg.AssetCheckResult:
    """No day of weather reports is left in a failed state."""
    return _failed_partitions(context, metars.key, METAR_DAYS)


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def no_run_is_orphaned(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """No run has been going for longer than dagster.yaml allows."""
    from skyops_assets.quality.periodic import UnfinishedRun, orphaned_runs_problem

    records = context.instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    runs = [
        UnfinishedRun(
            record.dagster_run.run_id,
            record.dagster_run.job_name,
            # One that never started counts from when it was asked for.
            datetime.fromtimestamp(record.start_time, UTC)
            if record.start_time
            else record.create_timestamp,
        )
        for record in records
        if record.dagster_run.run_id != context.run.run_id
    ]
    limit_s = context.instance.run_monitoring_max_runtime_seconds or MAX_RUNTIME_S
    problem = orphaned_runs_problem(runs, datetime.now(UTC), timedelta(seconds=limit_s))
    return warning(problem, unfinished_runs=len(runs), max_runtime_s=limit_s)


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def disk_has_room(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The disk has room for weeks of positions, and the last full day was no larger than usual.

    If SKYOPS_RAW_RETENTION_DAYS keeps less than that, room for those days is enough. The disk of a
    database server on another machine cannot be seen from here: only its growth is checked.
    """
    from skyops_assets.quality.periodic import storage, storage_problem

    settings = warehouse.settings
    found = storage(warehouse.open(), settings.home, settings.raw_retention_days)
    return warning(
        storage_problem(found, settings.min_disk_days, settings.min_disk_gb),
        database_bytes=found.database_bytes,
        free_bytes=found.free_bytes,
        usual_day_bytes=found.usual_day_bytes,
        days_left=found.days_left,
        whole_days=len(found.day_bytes),
    )


@dg.asset_check(asset=dg.AssetKey(["features", "crossing_features"]), metadata=OWNED)
def loads_are_transformed(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Loaded rows are in the models within SKYOPS_TRANSFORM_DEADLINE_H hours.

    Measures freshness by pending loads: if nothing is loaded, nothing is late.
    """
    from skyops_assets.quality.periodic import pending_loads, pending_loads_problem

    found = pending_loads(warehouse.open())
    deadline = timedelta(hours=warehouse.settings.transform_deadline_h)
    problem = pending_loads_problem(found, datetime.now(UTC), deadline)
    return warning(problem, pending_loads=found.loads, waiting_since=found.since)


@check_of_each_ring("promotion_decisions")
def champion_has_seen_recent_arrivals(
    warehouse: WarehouseResource, ring_nm: int
) -> dg.AssetCheckResult:
    """The champion's data ends at most SKYOPS_CHAMPION_MAX_AGE_DAYS before the newest arrivals.

    Passes without a champion: a baseline predicts then, and does not age.
    """
    from skyops_assets.arrivals.store.versions import model_name
    from skyops_assets.quality.periodic import champion_age, champion_age_problem

    found = champion_age(warehouse.open(), model_name(ring_nm))
    return warning(
        champion_age_problem(found, warehouse.settings.champion_max_age_days),
        champion=found.version if found else "none",
        unseen_days=found.days if found else None,
    )


@dg.asset_check(asset=prediction_outcomes, metadata=OWNED)
def predictions_get_outcomes(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """At least SKYOPS_MIN_OUTCOME_SHARE of the predictions older than two hours have an outcome.

    Covers the last 28 days. Two hours, counted back from the newest position, are the longest
    transit that counts (EUROCONTROL).
    """
    from skyops_assets.quality.periodic import label_coverage, label_coverage_problem

    found = label_coverage(warehouse.open(), timedelta(hours=2))
    problem = label_coverage_problem(found, warehouse.settings.min_outcome_share)
    return warning(problem, due=found.due, pending=found.pending, share=found.share)


# They look at what stands still, and would only make a load or a transform longer.
PERIODIC = dg.AssetSelection.checks(
    no_hour_is_left_failed,
    no_day_is_left_failed,
    no_day_of_reports_is_left_failed,
    no_run_is_orphaned,
    disk_has_room,
    loads_are_transformed,
    *champion_has_seen_recent_arrivals,
    predictions_get_outcomes,
    lane_keeps_up,
)


def _failed_partitions(
    context: dg.AssetCheckExecutionContext,
    key: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
) -> dg.AssetCheckResult:
    from skyops_assets.quality.periodic import failed_partitions_problem

    failed = failed_partitions(context.instance, key, partitions)
    problem = failed_partitions_problem({key.to_user_string(): failed})
    return warning(problem, failed_partitions=len(failed))
