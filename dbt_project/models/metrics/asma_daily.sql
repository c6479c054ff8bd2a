{{ config(tags=['hourly']) }}

with arrivals as (
    select
        *,
        (landed_at at time zone 'UTC')::date as day
    from {{ ref('fct_arrivals') }}
)

select
    source,
    airport,
    ring_nm,
    day,
    {{ asma_aggregates() }}
from arrivals
group by source, airport, ring_nm, day
