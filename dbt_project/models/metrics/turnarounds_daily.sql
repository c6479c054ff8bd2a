{{ config(tags=['hourly']) }}

with turned as (
    select
        *,
        (took_off_at at time zone 'UTC')::date as day
    from {{ ref('turnarounds') }}
)

select
    airport,
    day,
    count(*) as turnaround_count,
    count(stand_min) as told_count,
    count(stand_min)::double precision / count(*) as told_share,
    percentile_cont(0.5) within group (order by stand_min) as median_stand_min,
    percentile_cont(0.9) within group (order by stand_min) as p90_stand_min
from turned
group by airport, day
