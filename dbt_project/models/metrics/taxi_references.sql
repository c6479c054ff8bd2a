{{ config(tags=['hourly']) }}

with told as (
    select
        airport,
        direction,
        runway,
        taxi_min,
        (moved_at at time zone 'UTC')::date as day,
        date_part('year', moved_at at time zone 'UTC')::integer as reference_year
    from {{ ref('int_ground__taxied') }}
    where taxi_min is not null
),

-- Of each runway, and of all together for those with too few.
percentiles as (
    select
        airport,
        direction,
        coalesce(runway, 'all') as runway,
        reference_year,
        percentile_cont(0.2) within group (order by taxi_min) as reference_min,
        count(*) as movement_count,
        min(day) as first_on,
        max(day) as last_on
    from told
    group by grouping sets ((airport, direction, runway, reference_year), (airport, direction, reference_year))
    having count(*) >= {{ var('taxi_reference_count') }}
)

-- The first year stays: a reference that follows the traffic would hide that all of it becomes slower.
select distinct on (airport, direction, runway)
    airport,
    direction,
    runway,
    reference_year,
    reference_min,
    movement_count,
    first_on,
    last_on
from percentiles
order by airport, direction, runway, reference_year
