"""Jobs and the schedule that transform what was loaded, and what follows from it."""

import dagster as dg

from skyops_assets.defs.platform.checks import PERIODIC
from skyops_assets.defs.policies import TRANSFORM
from skyops_assets.defs.raw.automation import HISTORY, HISTORY_KEY, METARS, METARS_KEY, RAW
from skyops_assets.defs.shared import TAGS
from skyops_assets.defs.transform.assets import REPROCESS
from skyops_assets.instance.private import BaseAssetGraph, latest_by_partition

FEATURES = dg.AssetKey(["features", "arrival_features"])


main_job = dg.define_asset_job(
    "main",
    selection=dg.AssetSelection.all() - HISTORY - METARS - PERIODIC,
    tags=TAGS,
    description="Build the whole graph, from the positions of the chosen hours to the predictions.",
)


FOLLOWING = dg.AssetSelection.groups(*TRANSFORM, "features", "predictions", "live")

# The checks too: what a collector or `skyops load` wrote was not checked in a run of its own, and a
# check that was red in a run of the load alone would hold nothing back here.
REFRESHED = (
    FOLLOWING | dg.AssetSelection.checks_for_assets(RAW, HISTORY_KEY, METARS_KEY)
) - PERIODIC

refresh_job = dg.define_asset_job(
    "refresh",
    selection=REFRESHED,
    tags=TAGS,
    description="Rebuild everything downstream of the loaded data, with the present model.",
)

reprocess_job = dg.define_asset_job(
    REPROCESS,
    selection=REFRESHED,
    tags=TAGS,
    description="Recompute a range of hours from the loaded positions, and everything downstream, "
    "after a rule has changed. The run's configuration sets the range: `since` and `until` of "
    "`dbt_models`. Each table shows its row count in the range before and after.",
)


def without_positions(
    graph: BaseAssetGraph,
) -> tuple[set[dg.AssetKey], set[dg.AssetCheckKey]]:
    """What a refresh is of with the history alone: checks of positions would fail for want of any.

    Returns:
        Its assets and its checks.
    """
    checks = {key for key in REFRESHED.resolve_checks(graph) if key.asset_key != RAW}
    return set(FOLLOWING.resolve(graph)), checks


def materialise_observed(instance: dg.DagsterInstance) -> None:
    """Report the hours of positions that a collector has told of since as materialised.

    Just before a refresh, whose checks judge them. Reported as they come, each minute or so, they
    would put every check of the asset back to "not evaluated" until the next hour.
    """
    told, known = (
        latest_by_partition(instance, RAW, kind)
        for kind in (
            dg.DagsterEventType.ASSET_OBSERVATION,
            dg.DagsterEventType.ASSET_MATERIALIZATION,
        )
    )
    for hour in sorted(hour for hour, event in told.items() if event > known.get(hour, 0)):
        (record,) = instance.fetch_observations(
            dg.AssetRecordsFilter(RAW, asset_partitions=[hour]), limit=1
        ).records
        observed = record.event_log_entry.asset_observation
        assert observed is not None
        instance.report_runless_asset_event(
            dg.AssetMaterialization(RAW, partition=hour, metadata=observed.metadata)
        )


@dg.schedule(
    job=refresh_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    description="Every hour: rebuild everything downstream of positions, the history of arrivals "
    "and weather reports, if new ones were loaded.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A run if anything was loaded since the last one, or if that one failed.

    Weather alone is nothing to build from.
    """
    materialise_observed(context.instance)
    positions = context.instance.get_latest_materialization_event(RAW)
    arrivals = context.instance.get_latest_materialization_event(HISTORY_KEY)
    loads = [event for event in (positions, arrivals) if event]
    if not loads:
        return dg.SkipReason("Neither positions nor the history of arrivals have been loaded yet.")
    request = dg.RunRequest()
    if positions is None and context.repository_def:
        assets, checks = without_positions(context.repository_def.asset_graph)
        request = dg.RunRequest(asset_selection=sorted(assets), asset_check_keys=sorted(checks))
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
    return dg.SkipReason("Nothing has been loaded since the last transform.")
