{#- A load of positions of so long ago is no live one. -#}
{%- set live = "interval '10 minutes'" -%}

-- depends_on: {{ source('raw', 'opensky_states') }}
with clock as (
    select {{ now_at() }} as now_at
),

newest as (
    select max(loads.finished_at) as answered_at
    from clock
    inner join raw.ingest_batches as loads
        on
            clock.now_at - interval '1 day' < loads.finished_at
            and clock.now_at >= loads.finished_at
    where loads.target = 'raw.opensky_states' and loads.window_end_at > loads.finished_at - {{ live }}
),

-- Several boxes are several answers: the newest position is that of the last minute of them.
latest as (
    select
        max(loads.window_end_at) as positioned_at,
        coalesce(
            sum(loads.loaded_rows) filter (where loads.finished_at > clock.now_at - interval '60 seconds'), 0
        )::bigint as position_count
    from clock
    cross join newest
    inner join raw.ingest_batches as loads
        on
            newest.answered_at - interval '60 seconds' < loads.finished_at
            and newest.answered_at >= loads.finished_at
    where loads.target = 'raw.opensky_states' and loads.window_end_at > loads.finished_at - {{ live }}
),

-- By the books of today, of the account that asked last.
credits as (
    select greatest(books.daily_credits - books.spent, 0) as credits_left
    from clock
    inner join raw.opensky_credits as books on (clock.now_at at time zone 'UTC')::date = books.utc_day
    order by books.updated_at desc
    limit 1
),

waiting as (
    select
        count(*) as load_count,
        min(loads.finished_at) as since_at
    from clock
    inner join raw.ingest_batches as loads on clock.now_at >= loads.finished_at
    where
        loads.target = 'raw.opensky_states'
        and loads.transformed_at is null
        and loads.loaded_rows > 0
        and loads.window_end_at > loads.finished_at - {{ live }}
),

passed as (
    select
        percentile_cont(0.5) within group (
            order by extract(epoch from loads.transformed_at - loads.finished_at)
        ) as p50_s,
        max(extract(epoch from loads.transformed_at - loads.finished_at)) as max_s
    from clock
    inner join raw.ingest_batches as loads
        on
            clock.now_at - interval '5 minutes' < loads.finished_at
            and clock.now_at >= loads.finished_at
    where
        loads.target = 'raw.opensky_states'
        and loads.transformed_at <= clock.now_at
        and loads.window_end_at > loads.finished_at - {{ live }}
)

select
    clock.now_at as observed_at,
    coalesce(latest.position_count, 0) / 60.0::double precision as positions_per_s,
    latest.positioned_at as newest_position_at,
    extract(epoch from clock.now_at - latest.positioned_at)::double precision as newest_position_age_s,
    newest.answered_at as newest_answer_at,
    extract(epoch from clock.now_at - newest.answered_at)::double precision as newest_answer_age_s,
    credits.credits_left,
    state.horizon_at as newest_built_position_at,
    extract(epoch from latest.positioned_at - least(latest.positioned_at, state.horizon_at))::double precision
        as lane_lag_s,
    waiting.load_count as waiting_load_count,
    waiting.since_at as waiting_since_at,
    extract(epoch from clock.now_at - waiting.since_at)::double precision as waiting_s,
    passed.p50_s::double precision as load_to_models_p50_s,
    passed.max_s::double precision as load_to_models_max_s,
    state.finished_at as pass_ended_at
from clock
cross join newest
cross join latest
cross join waiting
cross join passed
left join credits on true
left join audit.transform_state as state on true
