{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at'},
    indexes=[
        {'columns': ['airport', 'ring_nm', 'known_at']},
        {'columns': ['flight_id']},
        {'columns': ['crossed_at']},
        {'columns': ['icao24', 'crossed_at']},
    ]
) }}

with changed as (
    select
        ring_entries.*,
        {{ changed_from() }} as kept_from_at
    from {{ ref('int_flights__ring_entries') }} as ring_entries
    {{ join_changes('ring_entries', 'first_inside_at') }}
),

entries as (
    select
        changed.flight_id,
        changed.icao24,
        changed.airport,
        changed.ring_nm,
        changed.first_inside_at,
        changed.kept_from_at,
        airports.latitude_deg as airport_latitude_deg,
        airports.longitude_deg as airport_longitude_deg,
        airports.elevation_m as airport_elevation_m
    from changed
    inner join {{ ref('int_airports__watched') }} as airports on changed.airport = airports.airport
),

-- The fixes on both sides of the ring. A flight first seen inside has none outside, and drops out.
brackets as (
    select
        entries.*,
        inside.latitude_deg as inside_latitude_deg,
        inside.longitude_deg as inside_longitude_deg,
        inside.altitude_m as inside_altitude_m,
        inside.ground_speed_mps as inside_ground_speed_mps,
        outside.positioned_at as outside_at,
        outside.latitude_deg as outside_latitude_deg,
        outside.longitude_deg as outside_longitude_deg,
        outside.altitude_m as outside_altitude_m,
        outside.ground_speed_mps as outside_ground_speed_mps,
        {{ distance_m(
            'outside.latitude_deg',
            'outside.longitude_deg',
            'entries.airport_latitude_deg',
            'entries.airport_longitude_deg',
        ) }}
            as outside_m,
        {{ distance_m(
            'inside.latitude_deg',
            'inside.longitude_deg',
            'entries.airport_latitude_deg',
            'entries.airport_longitude_deg',
        ) }}
            as inside_m
    from entries
    inner join {{ ref('int_positions__phased') }} as inside
        on
            entries.icao24 = inside.icao24
            and entries.first_inside_at = inside.positioned_at
    cross join lateral (
        select
            positions.positioned_at,
            positions.latitude_deg,
            positions.longitude_deg,
            positions.altitude_m,
            positions.ground_speed_mps
        from {{ ref('int_positions__phased') }} as positions
        where
            positions.icao24 = entries.icao24
            and positions.flight_id = entries.flight_id
            and positions.positioned_at < entries.first_inside_at
            and positions.positioned_at >= entries.first_inside_at - interval '{{ var("crossing_gap_s") }} seconds'
            and positions.position_status = 'fresh'
        order by positions.positioned_at desc
        limit 1
    ) as outside
),

-- The latest known values, for those that the two fixes themselves lack.
recent as (
    select
        brackets.*,
        latest.altitude_m as latest_altitude_m,
        latest.ground_speed_mps as latest_ground_speed_mps,
        latest.vertical_rate_mps as latest_vertical_rate_mps,
        latest.track_deg as latest_track_deg,
        latest.callsign as latest_callsign,
        -- The ring is passed at the inner fix at the latest; that one lies a hair outside where rounding has it so.
        least(
            1.0,
            (brackets.outside_m - brackets.ring_nm * {{ metres_per_nm() }})
            / nullif(brackets.outside_m - brackets.inside_m, 0)
        ) as fraction
    from brackets
    cross join
        lateral (
            select
                {{ latest_known('positions.altitude_m', 'positions.positioned_at') }} as altitude_m,
                {{ latest_known('positions.ground_speed_mps', 'positions.positioned_at') }} as ground_speed_mps,
                {{ latest_known('positions.vertical_rate_mps', 'positions.positioned_at') }} as vertical_rate_mps,
                {{ latest_known('positions.track_deg', 'positions.positioned_at') }} as track_deg,
                {{ latest_known('positions.callsign', 'positions.positioned_at') }} as callsign
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = brackets.icao24
                and positions.flight_id = brackets.flight_id
                and positions.positioned_at <= brackets.first_inside_at
                and positions.positioned_at >= brackets.first_inside_at - interval '60 seconds'
        ) as latest
    where brackets.outside_m > brackets.ring_nm * {{ metres_per_nm() }}
),

interpolated as (
    select
        *,
        outside_at + (first_inside_at - outside_at) * fraction as crossed_at,
        outside_latitude_deg + (inside_latitude_deg - outside_latitude_deg) * fraction as latitude_deg,
        outside_longitude_deg + fraction * (
            inside_longitude_deg - outside_longitude_deg
            - 360 * round((inside_longitude_deg - outside_longitude_deg) / 360)
        ) as unwrapped_longitude_deg,
        coalesce(
            outside_altitude_m + (inside_altitude_m - outside_altitude_m) * fraction,
            latest_altitude_m
        ) as altitude_m,
        coalesce(
            outside_ground_speed_mps + (inside_ground_speed_mps - outside_ground_speed_mps) * fraction,
            latest_ground_speed_mps
        ) as ground_speed_mps
    from recent
),

directed as (
    select
        *,
        unwrapped_longitude_deg - 360 * round(unwrapped_longitude_deg / 360) as longitude_deg,
        {{ bearing_deg('airport_latitude_deg', 'airport_longitude_deg', 'latitude_deg', 'unwrapped_longitude_deg') }}
            as bearing_deg,
        {{ bearing_deg('latitude_deg', 'unwrapped_longitude_deg', 'airport_latitude_deg', 'airport_longitude_deg') }}
            as to_airport_deg
    from interpolated
),

offset_tracks as (
    select
        *,
        {{ angle_between_deg('latest_track_deg', 'to_airport_deg') }} as track_offset_deg
    from directed
)

select
    flight_id || '_' || airport || '_' || ring_nm as crossing_id,
    flight_id,
    icao24,
    latest_callsign as callsign,
    airport,
    ring_nm,
    crossed_at,
    first_inside_at as known_at,
    latitude_deg,
    longitude_deg,
    bearing_deg,
    {{ sector('bearing_deg') }} as sector,
    altitude_m,
    ground_speed_mps,
    latest_vertical_rate_mps as vertical_rate_mps,
    latest_track_deg as track_deg,
    track_offset_deg,
    {{ is_inbound('track_offset_deg', 'latest_vertical_rate_mps', 'altitude_m - airport_elevation_m', 'ring_nm') }}
        as is_inbound,
    extract(epoch from first_inside_at - outside_at)::double precision as fix_gap_s
from offset_tracks
-- One that is interpolated to before the cut is there already.
where crossed_at >= kept_from_at
