{%- set own_columns = [
    'crossing_id', 'flight_id', 'icao24', 'airport', 'ring_nm', 'crossed_at', 'known_at', 'is_inbound', 'sector',
    'bearing_deg', 'latitude_deg', 'longitude_deg', 'altitude_m', 'ground_speed_mps', 'vertical_rate_mps',
    'track_offset_deg',
] -%}

{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[
        {'columns': ['source', 'airport', 'ring_nm', 'known_at']},
        {'columns': ['flight_id']},
        {'columns': ['crossed_at']},
    ]
) }}

with unioned as (
    select
        {{ own_columns | join(',\n        ') }},
        'positions' as source,
        false as is_live
    from {{ ref('fct_ring_crossings') }}
    union all
    select
        {{ own_columns | join(',\n        ') }},
        'positions' as source,
        true as is_live
    from {{ ref('int_crossings__live') }}
    union all
    select
        uid || '_' || airport || '_' || ring_nm as crossing_id,
        uid as flight_id,
        icao24,
        airport,
        ring_nm,
        crossed_at,
        crossed_at as known_at,
        -- Of flights that do not come to land the source has nothing.
        true as is_inbound,
        sector,
        bearing_deg,
        latitude_deg,
        longitude_deg,
        altitude_m,
        -- Nor has it these.
        null::double precision as ground_speed_mps,
        null::double precision as vertical_rate_mps,
        null::double precision as track_offset_deg,
        'history' as source,
        false as is_live
    from {{ ref('stg_history__arrivals') }}
),

crossings as (
    select unioned.*
    from unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
),

local_times as (
    select
        crossings.*,
        crossings.crossed_at at time zone airports.timezone as local_at
    from crossings
    -- Also those that are not watched, and of the history those that are not known.
    left join {{ ref('stg_reference__airports') }} as airports on crossings.airport = airports.airport
)

select
    crossing_id,
    is_live,
    source,
    flight_id,
    icao24,
    airport,
    ring_nm,
    crossed_at,
    known_at,
    is_inbound,
    sector,
    bearing_deg,
    sind(bearing_deg) as bearing_sin,
    cosd(bearing_deg) as bearing_cos,
    latitude_deg,
    longitude_deg,
    altitude_m,
    ground_speed_mps,
    vertical_rate_mps,
    track_offset_deg,
    extract(hour from local_at)::double precision
    + extract(minute from local_at)::double precision / 60 as local_hour,
    extract(isodow from local_at)::integer as local_weekday
from local_times
