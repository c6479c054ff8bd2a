{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['crossed_at']}],
    post_hook='analyze {{ this }}'
) }}

with history as not materialized (
    select
        uid as flight_id,
        uid || '_' || airport || '_' || ring_nm as crossing_id,
        uid as movement_id,
        icao24,
        airport,
        ring_nm,
        crossed_at,
        crossed_at as known_at,
        sector,
        bearing_deg,
        latitude_deg,
        longitude_deg,
        altitude_m,
        landed_at,
        transit_min,
        runway_direction,
        is_innermost,
        -- Of flights that do not come to land the source has nothing.
        true as is_inbound,
        -- Nor has it these.
        null::double precision as ground_speed_mps,
        null::double precision as vertical_rate_mps,
        null::double precision as track_offset_deg
    from {{ ref('stg_history__arrivals') }}
),

crossings as (
    select history.*
    from history
    {{ join_changed_hours('history', 'crossed_at', with_aftermath=true) }}
),

-- Also those that are not watched.
airports as (
    select * from {{ ref('stg_reference__airports') }}
),

-- No feature looks back further than six hours.
entered as not materialized (
    select * from history
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

-- A landing is known when it happens, and never withdrawn.
arrivals as not materialized (
    select
        movement_id,
        flight_id,
        airport,
        ring_nm,
        sector,
        landed_at,
        transit_min,
        landed_at as known_at,
        null::timestamptz as withdrawn_at
    from history
    where true {{ and_since_changed_hours('landed_at', '6 hours') }}
),

landings as not materialized (
    select
        movement_id,
        airport,
        landed_at as moved_at,
        landed_at as known_at,
        null::timestamptz as withdrawn_at,
        -- As the runway is named, that is magnetic and to ten degrees.
        runway_direction::double precision * 10 as heading_deg
    from history
    where is_innermost {{ and_since_changed_hours('landed_at', '6 hours') }}
),

observed as (
    select
        crossings.crossing_id,
        airframes.typecode,
        null::text as wake,
        null::integer as inbound_inside_count,
        null::integer as holdings_30min_count,
        null::integer as go_arounds_30min_count
    from crossings
    left join {{ ref('stg_reference__aircraft') }} as airframes on crossings.icao24 = airframes.icao24
),

{{ crossing_features('history') }}
