{#- How far back the airport's own peak is taken from. -#}
{%- set peak_time = "interval '90 days'" -%}

with clock as (
    select {{ now_at() }} as now_at
),

quarters as (
    select
        airports.airport,
        quarters.quarter,
        clock.now_at,
        clock.now_at + quarters.quarter * interval '15 minutes' as from_at
    from clock
    cross join {{ ref('int_airports__watched') }} as airports
    cross join generate_series(0, 3) as quarters (quarter)
),

-- Who is overdue lands in the first quarter. Of who is lost nothing is expected.
expected as (
    select
        airport,
        greatest(predicted_landing_at, {{ now_at() }}) as landing_at,
        landing_probability
    from {{ ref('candidates') }}
    where status <> 'lost' and predicted_landing_at is not null
),

peaks as (
    select
        landings.airport,
        count(*) as quarter_count,
        percentile_cont(0.9) within group (order by landings.landing_count) as p90_landing_count
    from clock
    inner join {{ ref('landings_15m') }} as landings
        on
            clock.now_at - {{ peak_time }} <= landings.quarter_at
            and clock.now_at - interval '15 minutes' >= landings.quarter_at
    group by landings.airport
)

select
    quarters.airport,
    quarters.from_at,
    quarters.from_at + interval '15 minutes' as through_at,
    coalesce(sum(expected.landing_probability), 0)::double precision as expected_landing_count,
    count(expected.airport) as candidate_count,
    min(peaks.p90_landing_count) as p90_landing_count,
    coalesce(min(peaks.quarter_count), 0) as past_quarter_count
from quarters
left join expected
    on
        quarters.airport = expected.airport
        and quarters.from_at <= expected.landing_at
        and expected.landing_at < quarters.from_at + interval '15 minutes'
left join peaks on quarters.airport = peaks.airport
group by quarters.airport, quarters.from_at
