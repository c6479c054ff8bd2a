{{ config(tags=['hourly']) }}

with arrivals as (
    select
        *,
        date_trunc('month', landed_at at time zone 'UTC')::date as month
    from {{ ref('fct_arrivals') }}
)

select
    source,
    airport,
    ring_nm,
    month,
    {{ asma_aggregates() }}
from arrivals
group by source, airport, ring_nm, month
