"""What Prometheus is told of the warehouse: feed, lane, model, alerts, traffic.

Belongs here: queries of the warehouse's database, and what their columns mean. Each must be cheap
however much the warehouse holds: by an index, of the last hour, or of a small table. Does not: when
they are asked (`scrape`).
"""

from __future__ import annotations

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.arrivals.store.versions import model_name
from skyops_assets.serving.exported import Exported, Part
from skyops_assets.transform.dbt import LOCK

SLOW_S = 60.0
"""For what changes slowly, or takes more than a few milliseconds."""
MODELS = ", ".join(f"('{model_name(ring_nm)}', {ring_nm})" for ring_nm in RINGS_NM)

FEED = Part(
    "feed",
    "warehouse",
    """
    select
        *,
        -- Who has never run the lane has the hourly refresh, and waits for it by design.
        case when exists (select from audit.live_horizon) then coalesce(waiting_s, 0) end
            as lane_waiting_s,
        extract(epoch from pass_ended_at) as pass_ended_epoch
    from live.feed
    """,
    (
        Exported("skyops_feed_positions_per_second", "positions_per_s",
                 "New positions per second over the last minute."),
        Exported("skyops_feed_newest_position_age_seconds", "newest_position_age_s",
                 "Age of the newest position; missing if no live position was loaded within a "
                 "day."),
        Exported("skyops_feed_newest_answer_age_seconds", "newest_answer_age_s",
                 "Seconds since the newest response with positions was stored; missing if none was "
                 "loaded within a day."),
        Exported("skyops_lane_lag_seconds", "lane_lag_s",
                 "How much older the newest position in the models is than the newest one "
                 "received."),
        Exported("skyops_lane_waiting_loads", "waiting_load_count",
                 "Live loads that no model holds yet."),
        Exported("skyops_lane_waiting_seconds", "lane_waiting_s",
                 "How long the oldest of these loads has waited; 0 if none waits, missing if "
                 "`skyops follow` has never run."),
        Exported("skyops_lane_load_to_models_p50_seconds", "load_to_models_p50_s",
                 "Median time from a load until the models hold it, over the last five minutes."),
        Exported("skyops_lane_load_to_models_max_seconds", "load_to_models_max_s",
                 "Longest time from a load until the models hold it, over the last five minutes."),
        Exported("skyops_lane_pass_end_timestamp_seconds", "pass_ended_epoch",
                 "When the last pass or build ended."),
    ),
)  # fmt: skip
LANE = Part(
    "lane",
    "warehouse",
    f"""
    select
        (select count(*) from audit.live_batches) as pass_loads,
        (select count(*) from audit.live_ranges) as pass_ranges,
        (select count(*) from audit.pending_ranges) as untested_ranges,
        (select count(*) from audit.pending_hours) as untested_hours,
        exists (
            select from pg_locks
            where
                locktype = 'advisory'
                and granted
                and database = (select oid from pg_database where datname = current_database())
                and objid = (hashtext('{LOCK}')::bigint & 4294967295)::oid
        )::integer as is_building
    """,  # noqa: S608
    (
        Exported("skyops_lane_pass_loads", "pass_loads", "Loads in the last pass."),
        Exported("skyops_lane_pass_ranges", "pass_ranges",
                 "Aircraft and time ranges that the last pass recomputed."),
        Exported("skyops_lane_untested_ranges", "untested_ranges",
                 "Aircraft and time ranges built by passes that the hourly build has yet to test."),
        Exported("skyops_lane_untested_hours", "untested_hours",
                 "Hours changed by passes that the hourly build has yet to test."),
        Exported("skyops_transform_running", "is_building",
                 "1 while a dbt run writes; a pass may have to wait for it."),
    ),
)  # fmt: skip
COLLECTOR = Part(
    "collector",
    "warehouse",
    """
    with loads as (
        select
            coalesce(sum(read_rows), 0) as read,
            coalesce(sum(loaded_rows), 0) as loaded,
            coalesce(sum(duplicate_rows), 0) as duplicate,
            coalesce(sum(rejected_rows), 0) as rejected
        from raw.ingest_batches
        where target = 'raw.opensky_states' and finished_at > now() - interval '1 hour'
    )

    select
        counted.outcome,
        counted.row_count
    from loads
    cross join lateral (
        values ('read', read), ('loaded', loaded), ('duplicate', duplicate), ('rejected', rejected)
    ) as counted (outcome, row_count)
    """,
    (
        Exported("skyops_positions_last_hour", "row_count",
                 "Positions in the loads of the last hour, files included: read = loaded + "
                 "duplicate + rejected.", ("outcome",)),
    ),
)  # fmt: skip
CREDITS = Part(
    "credits",
    "warehouse",
    """
    select
        greatest(daily_credits - spent, 0) as credits_left,
        daily_credits,
        greatest(extract(epoch from blocked_until - now()), 0) as blocked_s
    from raw.opensky_credits
    where utc_day = (now() at time zone 'UTC')::date
    order by updated_at desc
    limit 1
    """,
    (
        Exported("skyops_opensky_credits_left", "credits_left",
                 "OpenSky credits left today (UTC) for the account used last; missing if none was "
                 "used today."),
        Exported("skyops_opensky_credits_daily", "daily_credits", "OpenSky credits per day."),
        Exported("skyops_opensky_blocked_seconds", "blocked_s",
                 "How long OpenSky has asked to wait (429)."),
    ),
)  # fmt: skip
MODEL = Part(
    "model",
    "warehouse",
    """
    with chosen as (
        (select * from ml.model_versions where is_champion)
        union
        (
            select distinct on (model_name) * from ml.model_versions
            order by model_name asc, registered_at desc
        )
    )

    select
        chosen.model_name as model,
        chosen.version,
        runs.ring_nm as ring,
        chosen.is_champion::integer as is_champion,
        runs.train_rows,
        extract(epoch from runs.trained_through_at) as trained_through_epoch,
        60 * scores.mae_min as mae_s,
        scores.r2,
        scores.skill,
        evidence.p50_ms / 1000 as p50_s,
        evidence.p95_ms / 1000 as p95_s,
        evidence.p99_ms / 1000 as p99_s,
        evidence.peak_memory_mb * 1048576 as peak_memory_bytes
    from chosen
    inner join ml.training_runs as runs on chosen.training_run_id = runs.training_run_id
    left join ml.evaluations as scores
        on chosen.training_run_id = scores.training_run_id and scores.role = 'challenger'
    left join ml.challenger_evidence as evidence
        on chosen.training_run_id = evidence.training_run_id
    """,
    tuple(
        Exported(name, column, f"{meaning} For the champion and the newest version of each model.",
                 ("model", "ring", "version"))
        for name, column, meaning in (
            ("skyops_model_is_champion", "is_champion",
             "1 for the champion, 0 for another version."),
            ("skyops_model_training_rows", "train_rows",
             "Arrivals in the version's training rows."),
            ("skyops_model_trained_through_timestamp_seconds", "trained_through_epoch",
             "Last landing that the version has learned from."),
            ("skyops_model_mae_seconds", "mae_s",
             "Mean absolute error on the version's test arrivals."),
            ("skyops_model_r2", "r2", "R2 on the version's test arrivals."),
            ("skyops_model_skill", "skill",
             "1 - MAE / MAE of the best baseline, on the version's test arrivals."),
            ("skyops_model_latency_p50_seconds", "p50_s",
             "Processor time of one prediction, median, measured by the gatekeeper."),
            ("skyops_model_latency_p95_seconds", "p95_s",
             "Processor time of one prediction, 95th percentile, measured by the gatekeeper."),
            ("skyops_model_latency_p99_seconds", "p99_s",
             "Processor time of one prediction, 99th percentile, measured by the gatekeeper."),
            ("skyops_model_peak_memory_bytes", "peak_memory_bytes",
             "Peak memory of the predicting process, measured by the gatekeeper."),
        )
    ),
    SLOW_S,
)  # fmt: skip
MONITOR = Part(
    "monitor",
    "warehouse",
    f"""
    with models (model, ring) as (values {MODELS})

    select
        models.model,
        models.ring,
        latest.skill,
        60 * latest.mae_min as mae_s,
        latest.r2,
        latest.drift_score,
        extract(epoch from latest.logged_at) as logged_epoch,
        -- Too few rows are no recovery: then what was said of this version before them holds.
        coalesce(
            case when latest.verdict = 'too few rows' then measured.verdict else latest.verdict end
            = 'skill alarm',
            false
        )::integer as is_alarm
    from models
    cross join lateral (
        select * from audit.monitoring_log
        where kind = 'monitor' and model_name = models.model
        order by log_id desc
        limit 1
    ) as latest
    left join lateral (
        select verdict from audit.monitoring_log
        where
            kind = 'monitor'
            and model_name = models.model
            and model_version = latest.model_version
            and skill is not null
        order by log_id desc
        limit 1
    ) as measured on true
    """,  # noqa: S608
    tuple(
        Exported(name, column, meaning, ("model", "ring"))
        for name, column, meaning in (
            ("skyops_monitor_skill", "skill",
             "Skill of the champion in the latest monitoring window; missing with too few rows."),
            ("skyops_monitor_mae_seconds", "mae_s",
             "Mean absolute error of the champion in that window."),
            ("skyops_monitor_r2", "r2", "R2 of the champion in that window."),
            ("skyops_monitor_drift_score", "drift_score",
             "Drift score of the crossings in that window."),
            ("skyops_monitor_timestamp_seconds", "logged_epoch",
             "When the champion was last monitored."),
            ("skyops_monitor_skill_alarm", "is_alarm",
             "1 if the champion's skill was below its floor in two consecutive windows."),
        )
    ),
    SLOW_S,
)  # fmt: skip
ALERTS = Part(
    "alerts",
    "warehouse",
    """
    select
        kinds.kind,
        count(alerts.alert_id) as alert_count
    from unnest(array['run_failure', 'check', 'r2']) as kinds (kind)
    left join audit.alerts as alerts on kinds.kind = alerts.kind and alerts.recovered_at is null
    group by kinds.kind
    """,
    (
        Exported("skyops_alerts_open", "alert_count",
                 "Open problems of SkyOps' own alerts, by kind.", ("kind",)),
    ),
)  # fmt: skip
NOTICES = Part(
    "notices",
    "warehouse",
    """
    select
        channels.channel,
        count(notices.notice_id) as notice_count
    from unnest(array['log', 'webhook', 'email']) as channels (channel)
    left join audit.alert_notices as notices
        on channels.channel = notices.channel and notices.sent_at is null
    group by channels.channel
    """,
    (
        Exported("skyops_alert_notices_unsent", "notice_count",
                 "Alert notices that no channel has accepted yet.", ("channel",)),
    ),
)  # fmt: skip
TRAFFIC = Part(
    "traffic",
    "warehouse",
    """
    with clock as (
        select
            now() as now_at,
            now() - interval '1 hour' as hour_ago_at
    )

    select
        watched.airport,
        moved.*,
        held.*,
        arrived.*
    from clock
    cross join unnest(%(airports)s::text[]) as watched (airport)
    cross join lateral (
        select
            count(distinct flight_id) as flight_count,
            count(*) filter (where movement = 'landing') as landing_count,
            count(*) filter (where movement = 'takeoff') as takeoff_count,
            count(*) filter (where movement = 'go_around') as go_around_count
        from metrics.fct_movements
        where airport = watched.airport and moved_at > hour_ago_at and moved_at <= now_at
    ) as moved
    cross join lateral (
        select count(*) as holding_count
        from metrics.fct_holdings
        where airport = watched.airport and ended_at > hour_ago_at and ended_at <= now_at
    ) as held
    cross join lateral (
        select 60 * avg(additional_min) as additional_s
        from metrics.fct_arrivals
        where
            airport = watched.airport
            and ring_nm = 40
            and landed_at > hour_ago_at
            and landed_at <= now_at
    ) as arrived
    """,
    tuple(
        Exported(name, column, f"{meaning} For the last hour, by watched airport.", ("airport",))
        for name, column, meaning in (
            ("skyops_airport_flights", "flight_count",
             "Flights with a landing, take-off, touch-and-go or go-around."),
            ("skyops_airport_landings", "landing_count", "Landings."),
            ("skyops_airport_takeoffs", "takeoff_count", "Take-offs."),
            ("skyops_airport_go_arounds", "go_around_count", "Go-arounds."),
            ("skyops_airport_holdings", "holding_count", "Holdings that ended."),
            ("skyops_airport_additional_seconds", "additional_s",
             "Mean additional ASMA time from 40 NM to the landing; missing if no arrival has a "
             "reference."),
        )
    ),
    SLOW_S,
)  # fmt: skip
FLIGHTS = Part(
    "flights",
    "warehouse",
    """
    select
        count(*) as hour_count,
        count(*) filter (where last_seen_at > now() - interval '1 minute') as minute_count
    from metrics.fct_flights
    where last_seen_at > now() - interval '1 hour'
    """,
    (
        Exported("skyops_flights_last_hour", "hour_count", "Flights heard in the last hour."),
        Exported("skyops_flights_heard", "minute_count", "Flights heard in the last minute."),
    ),
)  # fmt: skip
STRANGE = Part(
    "strange",
    "warehouse",
    """
    select
        count(anomaly_score) as judged_count,
        count(*) filter (where is_anomalous) as anomalous_count
    from metrics.flight_anomaly_scores
    where last_seen_at > now() - interval '1 day'
    """,
    (
        Exported("skyops_flights_judged", "judged_count",
                 "Flights of the last day that were compared with other flights."),
        Exported("skyops_flights_anomalous", "anomalous_count",
                 "Anomalous ones of these flights."),
    ),
    SLOW_S,
)  # fmt: skip

RELIABILITY = Part(
    "reliability",
    "warehouse",
    """
    with yesterday as (
        select
            sum(on_time_count) as on_time_count,
            sum(landed_count) as landed_count
        from metrics.punctuality_daily
        where arrives_on = (now() at time zone 'UTC')::date - 1
    )

    select
        (
            select count(*)
            from metrics.component_reliability_weekly
            where is_current and alert_level = 'alert'
        ) as alert_count,
        (
            select count(*) from metrics.maintenance_due where due_status = 'overdue'
        ) as overdue_count,
        on_time_count / nullif(landed_count, 0) as on_time_share
    from yesterday
    """,
    (
        Exported("skyops_reliability_alerts", "alert_count",
                 "ATA chapters and parts of a fleet in alert, in the latest week with levels."),
        Exported("skyops_maintenance_overdue", "overdue_count",
                 "Tasks and bulletins of airframes past a limit."),
        Exported("skyops_punctuality_on_time_ratio", "on_time_share",
                 "Share of yesterday's observed arrivals that were at most 15 minutes late; "
                 "missing without schedules."),
    ),
    SLOW_S,
)  # fmt: skip

WAREHOUSE_PARTS = (
    FEED, LANE, COLLECTOR, CREDITS, MODEL, MONITOR, ALERTS, NOTICES, TRAFFIC, FLIGHTS,
    RELIABILITY, STRANGE,
)  # fmt: skip
