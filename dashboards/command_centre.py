"""The first board: host, data, the duel of the models, and how far they can be trusted.

Belongs here: its panels, column by column. Does not: how a panel looks (`parts`).
"""

from __future__ import annotations

from dashboards.parts import (
    GREEN,
    RED,
    YELLOW,
    Board,
    Postgres,
    ask,
    bars,
    figures,
    heading,
    lines,
    marks,
    only_on,
    ring,
    rows,
)

MODEL = "'arrival-transit-${ring}nm'"
CONTAINERS = 'job="cadvisor",name!=""'
DISKS = 'job="node",fstype!~"tmpfs|ramfs|squashfs"'
RUNS = "max without (instance) (skyops_dagster_run_end_timestamp_seconds)"
DURATION = "max without (instance) (skyops_dagster_run_duration_seconds)"
NEWEST = """
    with newest as (
        select runs.training_run_id
        from ml.evaluations as evaluations
        inner join ml.training_runs as runs using (training_run_id)
        where runs.ring_nm = $ring
        order by evaluations.evaluated_at desc
        limit 1
    ),

    compared as (
        select
            evaluations.*,
            case
                when role = 'baseline' then 'best baseline'
                else role || ' ' || regexp_replace(candidate, '^.*[^0-9]', '')
            end as model,
            array_position(array['champion', 'challenger', 'baseline'], role) as place
        from ml.evaluations as evaluations
        inner join newest using (training_run_id)
        where role <> 'baseline' or is_reference
    )
"""
"""The newest evaluation: its challenger, champion and best baseline, on the same arrivals."""
DUEL = f"""
    with duel as (
        select
            versions.version,
            versions.training_run_id,
            case when versions.is_champion then 'champion ' else 'challenger ' end
            || versions.version as model,
            row_number() over (
                partition by versions.is_champion order by versions.registered_at desc
            ) as place
        from ml.model_versions as versions
        where versions.model_name = {MODEL}
    )
"""
"""By `place` 1: the champion, and the newest version beside it."""


def board() -> Board:
    """The board, with Dagster's runs marked over CPU and memory."""
    made = Board(
        "skyops-command-centre",
        "SkyOps command centre",
        "Host and stability, data integrity, champion against challenger, explanation and trust.",
        "now-7d",
    )
    made.builder.with_variable(ring())
    cpu, memory = _host(made)
    _data(made)
    _duel(made)
    _trust(made)
    for mark in (
        marks("Dagster: run ended", f"{RUNS} * 1000", "{{job_name}} ended", "blue"),
        marks(
            "Dagster: run began", f"({RUNS} - {DURATION}) * 1000", "{{job_name}} began", "purple"
        ),
    ):
        made.builder.annotation(only_on(mark, (cpu, memory)))
    return made


def _host(made: Board) -> tuple[int, int]:
    """Column 1; the numbers of CPU and memory."""
    place = {"left": 0, "width": 6}
    made.put(
        heading("Host and stability", "CPU, memory, disks and killed processes"), **place, height=2
    )
    cpu = made.put(lines(
        "CPU", "Busy share of all cores. Marks are Dagster runs.", "percentunit",
        ask('1 - avg by (instance) (rate(node_cpu_seconds_total{job="node",mode="idle"}'
            "[$__rate_interval]))", "{{instance}}"),
        is_share=True,
    ), **place)  # fmt: skip
    memory = made.put(lines(
        "Memory", "Used share of the host's memory. Marks are Dagster runs.", "percentunit",
        ask('1 - node_memory_MemAvailable_bytes{job="node"} / '
            'node_memory_MemTotal_bytes{job="node"}', "{{instance}}"),
        is_share=True, limits=((None, GREEN), (0.9, RED)),
    ), **place)  # fmt: skip
    made.put(lines(
        "Container memory against its limit",
        "Working set divided by the limit, for containers with a limit. At 1 the kernel kills "
        "processes.",
        "percentunit",
        ask(f"max by (name) (container_memory_working_set_bytes{{{CONTAINERS}}}) / "
            f"max by (name) (container_spec_memory_limit_bytes{{{CONTAINERS}}} > 0)", "{{name}}"),
        is_share=True, limits=((None, GREEN), (0.9, RED)),
    ), **place)  # fmt: skip
    made.put(lines(
        "OOM kills",
        "Processes that the kernel killed because memory ran out, on the host and in each "
        "container.", "short",
        ask('increase(node_vmstat_oom_kill{job="node"}[$__rate_interval])', "host {{instance}}"),
        ask(f"sum by (name) (increase(container_oom_events_total{{{CONTAINERS}}}"
            "[$__rate_interval]))", "{{name}}"),
        limits=((None, GREEN), (1, RED)),
    ), **place)  # fmt: skip
    made.put(lines(
        "Disk of Postgres and MLflow",
        "Databases on disk, including MLflow's, and the artifacts that MLflow keeps in a "
        "folder.", "bytes",
        ask("max by (database) (skyops_postgres_size_bytes)", "database {{database}}"),
        ask("max(skyops_mlflow_artifacts_bytes)", "MLflow's artifacts"),
    ), **place)  # fmt: skip
    made.put(lines(
        "Free disk", "Free share of each disk.", "percentunit",
        ask(f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}",
            "{{mountpoint}}"),
        is_share=True, limits=((None, RED), (0.1, GREEN)),
    ), **place)  # fmt: skip
    return cpu, memory


def _data(made: Board) -> None:
    """Column 2."""
    place = {"left": 6, "width": 6}
    made.put(heading("Integrity of the data", "Loads, freshness and changes of the data"),
             **place, height=2)  # fmt: skip
    made.put(lines(
        "Volumes", "Rows in each hour's loads: loaded, repeated, rejected.", "short",
        Postgres("""
            select
                $__timeGroupAlias(finished_at, '1h'),
                sum(loaded_rows) as loaded,
                sum(duplicate_rows) as duplicates,
                sum(rejected_rows) as rejected
            from raw.ingest_batches
            where $__timeFilter(finished_at)
            group by 1
            order by 1
        """, is_series=True),
        is_stacked=True,
    ), **place)  # fmt: skip
    made.put(lines(
        "Freshness", "Age of the newest position, and how far the models lag behind it.", "s",
        ask("max(skyops_feed_newest_position_age_seconds)", "newest position"),
        ask("max(skyops_lane_lag_seconds)", "models behind it"),
    ), **place)  # fmt: skip
    made.put(figures(
        "Assets that are late, checks that "
        "fail",
        "Assets past their freshness policy, and checks whose last result is a failure.", "short",
        ask("count(max by (asset) (skyops_dagster_asset_freshness) > 0) or vector(0)",
            "late assets"),
        ask("count(max by (asset, check) (skyops_dagster_check_failing)) or vector(0)",
            "failing checks"),
        limits=((None, GREEN), (1, RED)),
    ), **place, height=4)  # fmt: skip
    made.put(lines(
        "Committed share of transactions", "Commits divided by commits and rollbacks, by database.",
        "percentunit",
        ask("max by (database) (rate(skyops_postgres_commits_total[$__rate_interval])) / ("
            "max by (database) (rate(skyops_postgres_commits_total[$__rate_interval])) + "
            "max by (database) (rate(skyops_postgres_rollbacks_total[$__rate_interval])) > 0)",
            "{{database}}"),
        limits=((None, RED), (0.95, GREEN)),
    ), **place)  # fmt: skip
    made.put(lines(
        "Training rows", "Arrivals in each training set of the ring.", "short",
        Postgres("""
            select created_at as time, row_count as "rows"
            from ml.training_sets
            where ring_nm = $ring and $__timeFilter(created_at)
            order by 1
        """, is_series=True),
    ), **place)  # fmt: skip
    made.put(lines(
        "Moving means of key features",
        "Mean over the previous 24 hours for crossings of the ring, in standard deviations from "
        "the mean of the whole period.", "none",
        Postgres("""
            with hourly as (
                select
                    date_trunc('hour', crossings.crossed_at) as hour_at,
                    features.name,
                    count(features.value) as value_count,
                    sum(features.value) as value_sum,
                    sum(features.value ^ 2) as square_sum
                from features.arrival_features as crossings
                cross join lateral (values
                    ('altitude', crossings.altitude_m::double precision),
                    ('ground speed', crossings.ground_speed_mps),
                    ('vertical rate', crossings.vertical_rate_mps),
                    ('inbound inside', crossings.inbound_inside_count),
                    ('transit', crossings.transit_min)
                ) as features (name, value)
                where crossings.ring_nm = $ring and not crossings.is_simulated
                    and $__timeFilter(crossings.crossed_at)
                group by 1, 2
            ),

            period as (
                select
                    name,
                    sum(value_sum) / nullif(sum(value_count), 0) as mean,
                    sqrt(greatest(
                        sum(square_sum) / nullif(sum(value_count), 0)
                        - (sum(value_sum) / nullif(sum(value_count), 0)) ^ 2, 0
                    )) as deviation
                from hourly
                group by name
            )

            select
                hour_at as time,
                name as metric,
                (
                    sum(value_sum) over day / nullif(sum(value_count) over day, 0) - mean
                ) / nullif(deviation, 0) as value
            from hourly
            inner join period using (name)
            window day as (
                partition by name order by hour_at
                range between interval '23 hours' preceding and current row
            )
            order by 1, 2
        """, is_series=True),
    ), **place)  # fmt: skip
    made.put(lines(
        "Drift",
        "Share of feature groups beyond their thresholds in each monitoring run; above 0.15 (by "
        "default) counts as drift.", "percentunit",
        Postgres(f"""
            select logged_at as time, drift_score as "drift"
            from audit.monitoring_log
            where kind = 'monitor' and model_name = {MODEL} and $__timeFilter(logged_at)
            order by 1
        """, is_series=True),
        limits=((None, GREEN), (0.15, RED)),
    ), **place)  # fmt: skip


def _duel(made: Board) -> None:
    """Column 3."""
    place = {"left": 12, "width": 6}
    made.put(heading("Champion against challenger", "Accuracy, certainty and speed"),
             **place, height=2)  # fmt: skip
    made.put(bars(
        "R2",
        "For the champion, the newest challenger and the best baseline, on the same test "
        "arrivals.", "none",
        Postgres(f"{NEWEST} select model, r2 as \"R2\" from compared order by place"),
    ), **place)  # fmt: skip
    made.put(bars(
        "MAE and RMSE", "Mean absolute error, and root of the mean squared error, in minutes.", "m",
        Postgres(f"{NEWEST} select model, mae_min as \"MAE\", rmse_min as \"RMSE\" from compared "
                 "order by place"),
    ), **place)  # fmt: skip
    made.put(bars(
        "Share within 1 and 2 minutes",
        "Share of the test arrivals predicted within one and two minutes.", "percentunit",
        Postgres(f"{NEWEST} select model, within_1min_share as \"within 1 min\", "
                 "within_2min_share as \"within 2 min\" from compared order by place"),
    ), **place)  # fmt: skip
    made.put(bars(
        "Scores",
        "Distribution of the predicted minutes, for crossings and for service requests: shares "
        "of each one's own predictions.", "percentunit",
        Postgres(f"""
            with scores as (
                select model_version, predicted_transit_min as minutes
                from ml.predictions
                where model_name = {MODEL} and $__timeFilter(crossed_at)
                union all
                select model_version, transit_min
                from ml.service_predictions
                where model_name = {MODEL} and $__timeFilter(asked_at)
            ),

            marked as (
                select 2 * floor(minutes / 2) as from_min, versions.is_champion
                from scores
                inner join ml.model_versions as versions
                    on scores.model_version = versions.version
                    and versions.model_name = {MODEL}
                where minutes is not null
            )

            select
                from_min::integer || ' min' as minutes,
                (count(*) filter (where is_champion))::double precision
                / nullif(sum(count(*) filter (where is_champion)) over (), 0) as "champion",
                (count(*) filter (where not is_champion))::double precision
                / nullif(sum(count(*) filter (where not is_champion)) over (), 0)
                as "other versions"
            from marked
            group by from_min
            order by from_min
        """),
    ), **place)  # fmt: skip
    made.put(bars(
        "Load time",
        "Seconds until a version gave its first prediction in a new process, measured by the "
        "gatekeeper.", "s",
        Postgres(f"""
            {DUEL}
            select model, start_s as "seconds"
            from duel
            inner join ml.challenger_evidence using (training_run_id)
            where place = 1
            order by model
        """),
    ), **place)  # fmt: skip
    made.put(lines(
        "p95 of a prediction",
        "Measured by the gatekeeper for one record at a time, and by the service for all records "
        "of a request.", "s",
        ask('max by (version) (skyops_model_latency_p95_seconds{ring="$ring"})',
            "measured, version {{version}}"),
        ask("histogram_quantile(0.95, sum by (le, version) (rate(skyops_model_answer_seconds_bucket"
            '{model="arrival-transit-${ring}nm"}[$__rate_interval])))',
            "answered, version {{version}}"),
    ), **place)  # fmt: skip


def _trust(made: Board) -> None:
    """Column 4."""
    place = {"left": 18, "width": 6}
    made.put(heading("Explanation and "
    "trust", "Why it predicts what it does, and how reliable it is"),
             **place, height=2)  # fmt: skip
    made.put(rows(
        "Lights of the gatekeeper",
        "The newest decision on the ring's model: each light, and the rules that failed.",
        Postgres(f"""
            with newest as (
                select * from ml.promotion_decisions
                where model_name = {MODEL}
                order by decided_at desc
                limit 1
            )

            select
                lights.name as light,
                case when lights.is_green::boolean then '{GREEN}' else '{RED}' end as state,
                coalesce((
                    select string_agg(reason ->> 'text', '; ')
                    from jsonb_array_elements(newest.reasons) as reasons (reason)
                    where reason ->> 'light' = lights.name
                    and not (reason ->> 'is_passed')::boolean
                ), '') as "stood in its way",
                coalesce('version ' || newest.challenger_version, 'none') as challenger,
                newest.decided_at
            from newest
            cross join lateral jsonb_each_text(newest.lights) as lights (name, is_green)
            order by array_position(
                array['technical', 'operational', 'logical', 'statistical'], lights.name
            )
        """),
        lights=("state",),
    ), **place)  # fmt: skip
    made.put(bars(
        "Importance", "Rise of the error in minutes when a feature group is shuffled.",
        "m",
        Postgres(f"""
            {DUEL}
            select
                feature_group,
                max(mae_rise_min) filter (where model like 'champion%') as "champion",
                max(mae_rise_min) filter (where model like 'challenger%') as "challenger"
            from duel
            inner join ml.feature_importance using (training_run_id)
            where place = 1
            group by feature_group
            order by max(mae_rise_min) desc
        """),
        is_lying=True,
    ), **place)  # fmt: skip
    residuals = f"""
        from ml.prediction_outcomes as outcomes
        inner join ml.predictions as predictions
            using (flight_id, airport, ring_nm, model_name, model_version)
        where model_name = {MODEL} and ring_nm = $ring and error_min is not null
            and $__timeFilter(landed_at)
    """
    made.put(bars(
        "Residuals",
        "Predicted minus actual minutes for landed arrivals: share in each bin of one minute, "
        "for training arrivals and for new ones.", "percentunit",
        Postgres(f"""
            select
                least(greatest(floor(error_min), -15), 15)::integer || ' min' as error,
                (count(*) filter (where not is_in_sample))::double precision
                / nullif(sum(count(*) filter (where not is_in_sample)) over (), 0) as "new",
                (count(*) filter (where is_in_sample))::double precision
                / nullif(sum(count(*) filter (where is_in_sample)) over (), 0) as "learned from"
            {residuals}
            group by least(greatest(floor(error_min), -15), 15)
            order by least(greatest(floor(error_min), -15), 15)
        """),
    ), **place)  # fmt: skip
    made.put(lines(
        "Residuals by hour",
        "Mean error (above 0 is predicted too late) and mean absolute error of each hour's "
        "landings.", "m",
        Postgres(f"""
            select
                $__timeGroupAlias(landed_at, '1h'),
                avg(error_min) as "bias",
                avg(abs(error_min)) as "MAE"
            {residuals}
            group by 1
            order by 1
        """, is_series=True),
    ), **place)  # fmt: skip
    made.put(lines(
        "Landings inside of the "
        "interval", "Share of landings inside the predicted 90 % interval, by hour.", "percentunit",
        Postgres(f"""
            select
                $__timeGroupAlias(landed_at, '1h'),
                avg((
                    predicted_transit_min - error_min
                    between predicted_low_min and predicted_high_min
                )::integer) as "inside"
            {residuals}
                and predicted_low_min is not null
            group by 1
            order by 1
        """, is_series=True),
        is_share=True, limits=((None, RED), (0.8, YELLOW), (0.9, GREEN)),
    ), **place)  # fmt: skip
    made.put(lines(
        "Skill and its floor", "1 - MAE / MAE of the best baseline, in the monitor's window; twice "
        "below the floor is an alarm.", "none",
        Postgres(f"""
            select
                logged_at as time,
                skill as "skill",
                (details ->> 'skill_floor')::double precision as "floor"
            from audit.monitoring_log
            where kind = 'monitor' and model_name = {MODEL} and $__timeFilter(logged_at)
            order by 1
        """, is_series=True),
    ), **place)  # fmt: skip
