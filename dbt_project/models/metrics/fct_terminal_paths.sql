{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'crossed_at'},
    indexes=[{'columns': ['arrival_id'], 'unique': true}, {'columns': ['icao24', 'crossed_at']}]
) }}

with arrivals as (
    select *
    from {{ ref('fct_arrivals') }}
    {{ join_changes('fct_arrivals', 'crossed_at') }}
),

crossings as (
    select *
    from {{ ref('fct_ring_crossings') }}
    {{ join_changes('fct_ring_crossings', 'crossed_at') }}
),

fixes as (
    select *
    from {{ ref('int_positions__sampled_10s') }}
    {{ join_changes('int_positions__sampled_10s', 'positioned_at') }}
),

points as (
    select
        arrivals.arrival_id,
        arrivals.crossed_at as passed_at,
        crossings.latitude_deg,
        crossings.longitude_deg
    from arrivals
    inner join crossings
        on
            arrivals.flight_id = crossings.flight_id
            and arrivals.airport = crossings.airport
            and arrivals.ring_nm = crossings.ring_nm
    union all
    select
        arrivals.arrival_id,
        fixes.positioned_at as passed_at,
        fixes.latitude_deg,
        fixes.longitude_deg
    from arrivals
    inner join fixes
        on
            arrivals.flight_id = fixes.flight_id
            and arrivals.crossed_at < fixes.positioned_at
            and arrivals.landed_at >= fixes.positioned_at
),

steps as (
    select
        *,
        {{ distance_m(
            'lag(latitude_deg) over by_arrival',
            'lag(longitude_deg) over by_arrival',
            'latitude_deg',
            'longitude_deg',
        ) }} as step_m
    from points
    window by_arrival as (partition by arrival_id order by passed_at)
),

paths as (
    select
        arrival_id,
        coalesce(sum(step_m order by passed_at), 0) / {{ metres_per_nm() }} as path_nm,
        (array_agg(latitude_deg order by passed_at))[1] as first_latitude_deg,
        (array_agg(longitude_deg order by passed_at))[1] as first_longitude_deg,
        (array_agg(latitude_deg order by passed_at desc))[1] as last_latitude_deg,
        (array_agg(longitude_deg order by passed_at desc))[1] as last_longitude_deg,
        max(passed_at) as last_fix_at
    from steps
    group by arrival_id
),

holdings as (
    select *
    from {{ ref('fct_holdings') }}
    {{ join_changes('fct_holdings', 'started_at') }}
),

held as (
    select
        arrivals.arrival_id,
        sum(
            extract(
                epoch from
                least(holdings.ended_at, arrivals.landed_at) - greatest(holdings.started_at, arrivals.crossed_at)
            )::double precision
            order by holdings.started_at
        ) / 60 as holding_min
    from arrivals
    inner join holdings
        on
            arrivals.flight_id = holdings.flight_id
            and arrivals.landed_at > holdings.started_at
            and arrivals.crossed_at < holdings.ended_at
    group by arrivals.arrival_id
),

measured as (
    select
        *,
        {{ distance_m(
            'first_latitude_deg',
            'first_longitude_deg',
            'last_latitude_deg',
            'last_longitude_deg',
        ) }} / {{ metres_per_nm() }} as direct_nm
    from paths
)

select
    arrivals.arrival_id,
    arrivals.flight_id,
    arrivals.icao24,
    arrivals.airport,
    arrivals.ring_nm,
    arrivals.crossed_at,
    measured.last_fix_at,
    measured.path_nm,
    measured.direct_nm,
    -- Rounding may make a straight way a hair shorter than the great circle.
    greatest(0.0, measured.path_nm - measured.direct_nm)::double precision as extra_nm,
    coalesce(held.holding_min, 0) as holding_min
from arrivals
inner join measured on arrivals.arrival_id = measured.arrival_id
left join held on arrivals.arrival_id = held.arrival_id
