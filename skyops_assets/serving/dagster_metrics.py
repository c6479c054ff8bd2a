"""What Prometheus is told of Dagster, by SQL from Dagster's own storage: no import of Dagster.

Belongs here: queries of Dagster's database, and what their columns mean. Dagster does not promise
to keep these tables; `tests/serving/test_metrics.py` reads what a real instance has written. Does
not: when they are asked (`scrape`).
"""

from __future__ import annotations

from skyops_assets.serving.exported import Exported, Part

SLOW_S = 60.0
MOST_JOBS = 50
MOST_ASSETS = 300
MOST_COUNTS = 4 * MOST_JOBS
MOST_FAILING = 100
"""No label has more values, whatever is in the storage; the newest are told."""
NAMED = "array_to_string(array(select jsonb_array_elements_text({}.asset_key::jsonb)), '/')"
"""An asset's key as it is shown, of the JSON that is stored: `["ml", "predictions"]`."""
RESULT_ASSET, ASSET = NAMED.format("results"), NAMED.format("assets")
# Dagster's times are UTC, without a zone.

RUNS = Part(
    "dagster_runs",
    "dagster",
    f"""
    select
        runs.pipeline_name as job_name,
        lower(runs.status) as status,
        count(*) as run_count
    from runs
    where
        runs.end_time > extract(epoch from now()) - 86400
        and runs.status in ('SUCCESS', 'FAILURE', 'CANCELED')
    group by runs.pipeline_name, runs.status
    order by max(runs.id) desc
    limit {MOST_COUNTS}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_runs_last_day", "run_count",
                 "Runs that ended in the last 24 hours, by job and result (success, failure, "
                 "canceled).", ("job_name", "status")),
    ),
    SLOW_S,
)  # fmt: skip
LAST_RUNS = Part(
    "dagster_last_runs",
    "dagster",
    f"""
    with latest as (
        select distinct on (pipeline_name)
            id,
            pipeline_name as job_name,
            end_time,
            end_time - start_time as duration_s,
            (status = 'SUCCESS')::integer as is_success
        from runs
        where status in ('SUCCESS', 'FAILURE') and end_time is not null
        order by pipeline_name asc, end_time desc
    )

    select * from latest
    order by id desc
    limit {MOST_JOBS}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_run_success", "is_success",
                 "1 if the job's last run succeeded, 0 if it failed.", ("job_name",)),
        Exported("skyops_dagster_run_duration_seconds", "duration_s",
                 "Duration of the job's last run.", ("job_name",)),
        Exported("skyops_dagster_run_end_timestamp_seconds", "end_time",
                 "When the job's last run ended.", ("job_name",)),
    ),
)  # fmt: skip
QUEUE = Part(
    "dagster_queue",
    "dagster",
    """
    select
        lower(states.status) as status,
        count(runs.id) as run_count
    from unnest(array['QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING'])
        as states (status)
    left join runs on states.status = runs.status
    group by states.status
    """,
    (
        Exported("skyops_dagster_runs_unfinished", "run_count",
                 "Queued runs and runs in progress, by status.", ("status",)),
    ),
)  # fmt: skip
QUEUED = Part(
    "dagster_queued",
    "dagster",
    """
    select
        coalesce(
            extract(epoch from now() - min(create_timestamp) at time zone 'UTC'), 0
        ) as oldest_s
    from runs
    where status = 'QUEUED'
    """,
    (
        Exported("skyops_dagster_queue_oldest_seconds", "oldest_s",
                 "How long the oldest queued run has waited; 0 if none is queued."),
    ),
)  # fmt: skip
# The last evaluated result of each check, found by the index on asset and check. A check that has
# said nothing for 35 days is none of this version's any more.
RESULTS = f"""
    checks as materialized (
        select
            asset_key,
            check_name,
            max(id) as id
        from asset_check_executions
        where
            execution_status in ('SUCCEEDED', 'FAILED')
            and evaluation_event_timestamp > now() at time zone 'UTC' - interval '35 days'
        group by asset_key, check_name
    ),

    results as (
        select
            results.id,
            {RESULT_ASSET} as asset,
            results.check_name as check,
            results.execution_status = 'SUCCEEDED' as is_passed,
            event.said ->> 'blocking' = 'true' as is_blocking,
            coalesce(event.said -> 'severity' ->> '__enum__', '') like '%%WARN' as is_warning
        from checks
        inner join asset_check_executions as results on checks.id = results.id
        cross join lateral (
            select results.evaluation_event::jsonb -> 'dagster_event' -> 'event_specific_data'
                as said
        ) as event
    )
"""  # noqa: S608
CHECKS = Part(
    "dagster_checks",
    "dagster",
    f"""
    with {RESULTS},

    counted as (
        select
            coalesce(is_blocking, false) as is_blocking,
            case when is_passed then 'passed' when is_warning then 'warned' else 'failed' end
                as result
        from results
    )

    select
        kinds.result,
        kinds.is_blocking::text as blocking,
        count(counted.result) as check_count
    from (
        select * from unnest(array['passed', 'warned', 'failed']) as result
        cross join (values (true), (false)) as blocking (is_blocking)
    ) as kinds
    left join counted on kinds.result = counted.result and kinds.is_blocking = counted.is_blocking
    group by kinds.result, kinds.is_blocking
    """,  # noqa: S608
    (
        Exported("skyops_dagster_checks", "check_count",
                 "Asset checks by last result (passed, warned, failed).",
                 ("result", "blocking")),
    ),
    SLOW_S,
)  # fmt: skip
FAILING = Part(
    "dagster_failing_checks",
    "dagster",
    f"""
    with {RESULTS}

    select
        asset,
        "check",
        case when is_warning then 'warning' else 'error' end as severity,
        coalesce(is_blocking, false)::text as blocking,
        1 as is_failing
    from results
    where not is_passed
    order by id desc
    limit {MOST_FAILING}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_check_failing", "is_failing",
                 "1 for each check whose last result is a failure; no series for the others.",
                 ("asset", "check", "severity", "blocking")),
    ),
    30.0,
)  # fmt: skip
ASSETS = Part(
    "dagster_assets",
    "dagster",
    f"""
    with newest as (
        select
            asset_key,
            max(id) as id
        from event_logs
        where dagster_event_type = 'FRESHNESS_STATE_CHANGE'
        group by asset_key
    ),

    states as (
        select
            newest.asset_key,
            event_logs.event::jsonb
            -> 'dagster_event' -> 'event_specific_data' -> 'new_state' ->> '__enum__' as state
        from newest
        inner join event_logs on newest.id = event_logs.id
    )

    select
        {ASSET} as asset,
        extract(epoch from assets.last_materialization_timestamp at time zone 'UTC')
            as materialized_epoch,
        case states.state
            when 'FreshnessState.PASS' then 0
            when 'FreshnessState.WARN' then 1
            when 'FreshnessState.FAIL' then 2
        end as freshness
    from asset_keys as assets
    left join states on assets.asset_key = states.asset_key
    where assets.last_materialization_timestamp is not null
    order by assets.last_materialization_timestamp desc
    limit {MOST_ASSETS}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_asset_materialized_timestamp_seconds", "materialized_epoch",
                 "When the asset was last materialised.", ("asset",)),
        Exported("skyops_dagster_asset_freshness", "freshness",
                 "0 if the asset is fresh by its policy, 1 if it is late (warning), 2 if it has "
                 "failed; missing without a policy.", ("asset",)),
    ),
    SLOW_S,
)  # fmt: skip
TICKS = Part(
    "dagster_ticks",
    "dagster",
    f"""
    with recent as materialized (
        -- Ten sensors tick every 30 s: 1,200 an hour.
        select
            selector_id,
            status,
            timestamp
        from job_ticks
        order by id desc
        limit 5000
    )

    select
        instigators.instigator_body::jsonb -> 'origin' ->> 'job_name' as instigator,
        lower(recent.status) as status,
        count(*) as tick_count
    from recent
    inner join instigators on recent.selector_id = instigators.selector_id
    where recent.timestamp > now() at time zone 'UTC' - interval '1 hour'
    group by instigator, recent.status
    limit {MOST_COUNTS}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_ticks_last_hour", "tick_count",
                 "Ticks of sensors and schedules in the last hour, by status (success, skipped, "
                 "failure, started).", ("instigator", "status")),
    ),
    30.0,
)  # fmt: skip
LAST_TICKS = Part(
    "dagster_last_ticks",
    "dagster",
    f"""
    select
        instigators.instigator_body::jsonb -> 'origin' ->> 'job_name' as instigator,
        extract(epoch from max(ticked.timestamp) at time zone 'UTC') as ticked_epoch
    from instigators
    cross join lateral (
        select job_ticks.timestamp from job_ticks
        where job_ticks.selector_id = instigators.selector_id
        order by job_ticks.timestamp desc
        limit 1
    ) as ticked
    group by instigator
    limit {MOST_JOBS}
    """,  # noqa: S608
    (
        Exported("skyops_dagster_tick_timestamp_seconds", "ticked_epoch",
                 "When the sensor or schedule last ticked.", ("instigator",)),
    ),
)  # fmt: skip
DAEMONS = Part(
    "dagster_daemons",
    "dagster",
    """
    select
        lower(daemon_type) as daemon,
        extract(epoch from timestamp at time zone 'UTC') as heartbeat_epoch
    from daemon_heartbeats
    """,
    (
        Exported("skyops_dagster_daemon_heartbeat_timestamp_seconds", "heartbeat_epoch",
                 "Last heartbeat of the daemon.", ("daemon",)),
    ),
)  # fmt: skip

DAGSTER_PARTS = (
    RUNS, LAST_RUNS, QUEUE, QUEUED, CHECKS, FAILING, ASSETS, TICKS, LAST_TICKS, DAEMONS,
)  # fmt: skip
