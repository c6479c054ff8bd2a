{{ config(tags=['hourly']) }}

{#- The longest that an aircraft may have been silent. -#}
{%- set silence = "interval '60 seconds'" -%}
{#- Further back than any feature looks. -#}
{%- set look_back = "interval '" ~ var('features_look_back_h') ~ " hours'" -%}
{%- set own_columns = [
    'crossed_at', 'sector', 'bearing_deg', 'latitude_deg', 'longitude_deg', 'altitude_m', 'ground_speed_mps',
    'vertical_rate_mps', 'track_offset_deg', 'is_inbound',
] -%}

-- Materialized, or the planner may look it up once per position.
with moment as materialized (
    select {{ latest_position(ref('int_positions__sampled_10s')) }} as latest_at
),

airports as (
    select * from {{ ref('int_airports__watched') }}
),

entered as not materialized (
    select * from {{ ref('fct_ring_crossings') }}
    where known_at > (select moment.latest_at from moment) - {{ look_back }}
),

landings as not materialized (
    select * from {{ ref('int_movements__located') }}
    where movement = 'landing' and known_at > (select moment.latest_at from moment) - {{ look_back }}
),

-- Sampled positions have an index on time; the first of ten seconds may be ten seconds older than the last.
heard as (
    select distinct
        flight_id,
        icao24
    from {{ ref('int_positions__sampled_10s') }}
    where positioned_at > (select moment.latest_at from moment) - {{ silence }} - interval '10 seconds'
),

fixes as (
    select
        heard.flight_id,
        heard.icao24,
        last_fix.*
    from heard
    cross join lateral (
        select
            positions.positioned_at,
            positions.latitude_deg,
            positions.longitude_deg,
            positions.phase
        from {{ ref('int_positions__phased') }} as positions
        where
            positions.icao24 = heard.icao24
            and positions.flight_id = heard.flight_id
            and positions.positioned_at > (select moment.latest_at from moment) - {{ silence }}
            and positions.position_status = 'fresh'
        order by positions.positioned_at desc
        limit 1
    ) as last_fix
),

airborne as (
    select *
    from fixes
    where
        phase <> 'GROUND'
        and not exists (
            select 1
            from landings
            where
                landings.icao24 = fixes.icao24
                and landings.flight_id = fixes.flight_id
                and landings.known_at <= fixes.positioned_at
                and (landings.withdrawn_at is null or fixes.positioned_at < landings.withdrawn_at)
        )
),

-- The latest known values, as fct_ring_crossings takes them where a fix lacks one.
reported as (
    select
        airborne.*,
        recent.*
    from airborne
    cross join
        lateral (
            select
                {{ latest_known('positions.altitude_m', 'positions.positioned_at') }} as altitude_m,
                {{ latest_known('positions.ground_speed_mps', 'positions.positioned_at') }} as ground_speed_mps,
                {{ latest_known('positions.vertical_rate_mps', 'positions.positioned_at') }} as vertical_rate_mps,
                {{ latest_known('positions.track_deg', 'positions.positioned_at') }} as track_deg
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = airborne.icao24
                and positions.flight_id = airborne.flight_id
                and positions.positioned_at <= airborne.positioned_at
                and positions.positioned_at >= airborne.positioned_at - interval '60 seconds'
        ) as recent
),

directed as (
    select
        reported.*,
        airports.airport,
        airports.elevation_m,
        {{ distance_m(
            'airports.latitude_deg',
            'airports.longitude_deg',
            'reported.latitude_deg',
            'reported.longitude_deg',
        ) }}
        / {{ metres_per_nm() }} as distance_nm,
        {{ bearing_deg(
            'airports.latitude_deg',
            'airports.longitude_deg',
            'reported.latitude_deg',
            'reported.longitude_deg',
        ) }}
            as bearing_deg,
        {{ bearing_deg(
            'reported.latitude_deg',
            'reported.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as to_airport_deg
    from reported
    cross join airports
),

inside as (
    select
        directed.*,
        directed.positioned_at as crossed_at,
        rings.ring_nm,
        {{ sector('directed.bearing_deg') }} as sector,
        {{ angle_between_deg('directed.track_deg', 'directed.to_airport_deg') }} as track_offset_deg,
        {{ is_inbound(
            angle_between_deg('directed.track_deg', 'directed.to_airport_deg'),
            'directed.vertical_rate_mps',
            'directed.altitude_m - directed.elevation_m',
            'directed.distance_nm',
        ) }}
            as is_inbound
    from directed
    inner join (
        values
        {% for ring_nm in var('rings_nm') -%}
            ({{ ring_nm }}){{ ',' if not loop.last }}
        {% endfor %}
    ) as rings (ring_nm) on directed.distance_nm <= rings.ring_nm
)

-- Whose last fix completed a crossing is at the ring: its row is that of the crossing.
select
    inside.flight_id || '_' || inside.airport || '_' || inside.ring_nm as crossing_id,
    inside.flight_id,
    inside.icao24,
    inside.airport,
    inside.ring_nm,
    inside.positioned_at as known_at,
    {% for column in own_columns -%}
        case when own_entry.known_at = inside.positioned_at then own_entry.{{ column }} else inside.{{ column }} end
            as {{ column }},
    {% endfor -%}
    own_entry.crossed_at as entered_at,
    case when own_entry.known_at = inside.positioned_at then inside.ring_nm else inside.distance_nm end
        as distance_nm
from inside
left join entered as own_entry
    on
        inside.icao24 = own_entry.icao24
        and inside.flight_id = own_entry.flight_id
        and inside.airport = own_entry.airport
        and inside.ring_nm = own_entry.ring_nm
where
    inside.is_inbound
    -- On the downwind leg it heads away from the airport.
    or (own_entry.is_inbound and coalesce(inside.vertical_rate_mps < 1.5, true))
    or (own_entry.is_inbound and own_entry.known_at = inside.positioned_at)
