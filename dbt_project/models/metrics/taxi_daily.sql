{{ config(tags=['hourly']) }}

with taxied as (
    select
        *,
        (moved_at at time zone 'UTC')::date as day
    from {{ ref('fct_taxi_times') }}
)

select
    airport,
    direction,
    day,
    {{ taxi_aggregates() }}
from taxied
group by airport, direction, day
