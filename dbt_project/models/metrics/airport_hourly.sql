{{ config(tags=['hourly']) }}

with movements as (
    select
        airport,
        date_trunc('hour', moved_at, 'UTC') as hour_at,
        count(*) filter (where movement = 'landing') as arrival_count,
        count(*) filter (where movement = 'takeoff') as departure_count,
        count(*) filter (where movement = 'go_around') as go_around_count
    from {{ ref('fct_movements') }}
    group by airport, date_trunc('hour', moved_at, 'UTC')
),

transits as (
    select
        airport,
        date_trunc('hour', landed_at, 'UTC') as hour_at,
        avg(transit_min) as mean_transit_min,
        percentile_cont(0.9) within group (order by transit_min) as p90_transit_min
    from {{ ref('fct_arrivals') }}
    where
        source = 'positions'
        and ring_nm = 40
        -- A night landing is traffic of its hour; the others would say nothing about it.
        and coalesce(exclusion_reason, '') not in ('transit_over_120_min', 'helicopter')
    group by airport, date_trunc('hour', landed_at, 'UTC')
)

select
    movements.airport,
    movements.hour_at,
    movements.arrival_count,
    movements.departure_count,
    movements.go_around_count,
    movements.arrival_count + movements.departure_count as throughput_count,
    transits.mean_transit_min,
    transits.p90_transit_min
from movements
left join transits
    on
        movements.airport = transits.airport
        and movements.hour_at = transits.hour_at
