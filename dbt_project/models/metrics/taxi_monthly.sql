{{ config(tags=['hourly']) }}

with taxied as (
    select
        *,
        date_trunc('month', moved_at at time zone 'UTC')::date as month
    from {{ ref('fct_taxi_times') }}
)

select
    airport,
    direction,
    month,
    {{ taxi_aggregates() }}
from taxied
group by airport, direction, month
