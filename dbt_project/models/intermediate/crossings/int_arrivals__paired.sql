{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'since': 'flight_from_at'},
    indexes=[{'columns': ['airport', 'ring_nm', 'known_at']}, {'columns': ['icao24', 'crossed_at']}]
) }}

with crossings as (
    select *
    from {{ ref('fct_ring_crossings') }}
    {{ join_changes('fct_ring_crossings', 'crossed_at', since='flight_from_at') }}
),

landings as (
    select * from {{ ref('int_movements__located') }}
    where movement = 'landing'
)

select
    landings.movement_id,
    crossings.flight_id,
    crossings.icao24,
    crossings.airport,
    crossings.ring_nm,
    crossings.crossed_at,
    crossings.sector,
    landings.moved_at as landed_at,
    extract(epoch from landings.moved_at - crossings.crossed_at)::double precision / 60 as transit_min,
    landings.runway_direction,
    landings.runway,
    landings.label_quality,
    landings.known_at,
    landings.withdrawn_at
from crossings
inner join landings
    on
        crossings.flight_id = landings.flight_id
        and crossings.airport = landings.airport
        and crossings.crossed_at < landings.moved_at
