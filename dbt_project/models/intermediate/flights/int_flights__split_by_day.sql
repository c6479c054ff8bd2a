{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'first_seen_at'},
    indexes=[{'columns': ['icao24', 'first_seen_at', 'flown_on'], 'unique': true}, {'columns': ['flown_on']}]
) }}

{#- Heard: as often as the sparsest feed has a position (int_flights__segmented). -#}
{%- set heard_s = 330 -%}

with flights as (
    select
        flight_id,
        icao24,
        airline,
        first_seen_at,
        last_seen_at
    from {{ ref('fct_flights') }}
    {{ join_changes('fct_flights', 'first_seen_at') }}
),

samples as (
    select
        flight_id,
        icao24,
        positioned_at,
        phase,
        altitude_m,
        ground_speed_mps,
        latitude_deg,
        longitude_deg,
        phase = 'CRUISE' and altitude_m is not null and ground_speed_mps is not null as is_cruise
    from {{ ref('int_positions__sampled_1m') }}
    {{ join_changes('int_positions__sampled_1m', 'positioned_at') }}
),

-- What is known of a flight, in the order of time; a midnight only parts its days.
events as (
    select
        flight_id,
        icao24,
        positioned_at as happened_at,
        null as movement,
        phase,
        ground_speed_mps,
        case when is_cruise then round(altitude_m * 100)::bigint end as cruise_altitude_cm,
        case when is_cruise then round(ground_speed_mps * 100)::bigint end as cruise_speed_cmps
    from samples
    union all
    select
        flight_id,
        icao24,
        moved_at as happened_at,
        movement,
        null as phase,
        null as ground_speed_mps,
        null as cruise_altitude_cm,
        null as cruise_speed_cmps
    from {{ ref('fct_movements') }}
    {{ join_changes('fct_movements', 'last_fix_at') }}
    where movement <> 'go_around'
    union all
    select
        flights.flight_id,
        flights.icao24,
        midnights.happened_at,
        null as movement,
        null as phase,
        null as ground_speed_mps,
        null as cruise_altitude_cm,
        null as cruise_speed_cmps
    from flights
    cross join lateral generate_series(
        date_trunc('day', flights.first_seen_at, 'UTC') + interval '24 hours',
        flights.last_seen_at,
        interval '24 hours'
    ) as midnights (happened_at)
),

ordered as (
    select
        *,
        max(happened_at) filter (where movement = 'landing') over flown as landed_at,
        max(happened_at) filter (where movement in ('takeoff', 'touch_and_go')) over flown as lifted_at,
        lead(happened_at) over flown as next_at
    from events
    window flown as (partition by icao24, flight_id order by happened_at asc, movement asc nulls first)
),

-- A ground flag can come a minute late: for two minutes the movement tells more than the phase.
judged as (
    select
        *,
        case
            when movement = 'landing' then false
            when movement is not null then true
            when
                landed_at > coalesce(lifted_at, '-infinity') and happened_at <= landed_at + interval '2 minutes'
                then false
            when
                lifted_at >= coalesce(landed_at, '-infinity') and happened_at <= lifted_at + interval '2 minutes'
                then true
            when phase = 'GROUND' then false
            -- Nobody taxies at 40 m/s.
            when phase <> 'UNKNOWN' or ground_speed_mps > 40 then true
        end as is_airborne_then
    from ordered
),

-- What does not tell is as what came before.
carried as (
    select
        *,
        coalesce(
            is_airborne_then,
            max(happened_at) filter (where is_airborne_then) over so_far
            > coalesce(max(happened_at) filter (where not is_airborne_then) over so_far, '-infinity'),
            false
        ) as is_airborne,
        round(extract(epoch from next_at - happened_at) * 1000)::bigint as lasted_ms
    from judged
    window so_far as (partition by icao24, flight_id order by happened_at)
),

days as (
    select
        icao24,
        flight_id,
        (happened_at at time zone 'UTC')::date as flown_on,
        min(happened_at) as started_at,
        max(happened_at) as ended_at,
        min(happened_at) filter (where phase is not null) as first_sampled_at,
        max(happened_at) filter (where phase is not null) as last_sampled_at,
        min(happened_at) filter (where phase = 'GROUND') as first_on_ground_at,
        max(happened_at) filter (where phase = 'GROUND') as last_on_ground_at,
        coalesce(sum(lasted_ms) filter (where is_airborne), 0)::bigint as airborne_ms,
        coalesce(sum(lasted_ms) filter (where is_airborne and lasted_ms <= {{ heard_s }} * 1000), 0)::bigint
            as heard_ms,
        count(cruise_altitude_cm) as cruise_count,
        sum(cruise_altitude_cm)::bigint as cruise_altitudes_cm,
        sum(cruise_speed_cmps)::bigint as cruise_speeds_cmps
    from carried
    group by icao24, flight_id, flown_on
),

-- Positions of a parked aircraft wander by some metres, and so do those of one whose tug comes.
taxied as (
    select
        icao24,
        flight_id,
        positioned_at,
        lag(positioned_at) over on_ground as previous_at,
        {{ distance_m(
            'lag(latitude_deg) over on_ground',
            'lag(longitude_deg) over on_ground',
            'latitude_deg',
            'longitude_deg',
        ) }} as moved_m
    from samples
    where phase = 'GROUND'
    window on_ground as (partition by icao24, flight_id order by positioned_at)
),

blocks as (
    select
        icao24,
        flight_id,
        min(previous_at) as off_block_at,
        max(positioned_at) as on_block_at
    from taxied
    where moved_m > 50
    group by icao24, flight_id
),

wholes as (
    select
        *,
        min(started_at) over whole as flight_started_at,
        max(ended_at) over whole as flight_ended_at,
        min(first_sampled_at) over whole as flight_first_sampled_at,
        max(last_sampled_at) over whole as flight_last_sampled_at,
        coalesce(
            min(first_on_ground_at) over whole = min(first_sampled_at) over whole
            and max(last_on_ground_at) over whole = max(last_sampled_at) over whole,
            false
        ) as is_seen_on_both_grounds,
        sum(airborne_ms) over whole > 0 as has_flown,
        min(flown_on) filter (where airborne_ms > 0) over whole as lifted_on,
        flown_on::timestamp at time zone 'UTC' as day_from_at,
        (flown_on + 1)::timestamp at time zone 'UTC' as day_through_at
    from days
    window whole as (partition by icao24, flight_id)
)

select
    flights.flight_id,
    flights.icao24,
    flights.first_seen_at,
    flights.airline,
    wholes.flown_on,
    wholes.has_flown,
    wholes.has_flown and wholes.flown_on = wholes.lifted_on as has_lifted_off,
    wholes.airborne_ms,
    wholes.heard_ms,
    case
        when wholes.has_flown and wholes.is_seen_on_both_grounds
            then greatest(
                round(extract(
                    epoch from
                    least(blocks.on_block_at, wholes.day_through_at)
                    - greatest(blocks.off_block_at, wholes.day_from_at)
                ) * 1000)::bigint,
                0
            )
    end as block_ms,
    wholes.cruise_count,
    wholes.cruise_altitudes_cm,
    wholes.cruise_speeds_cmps,
    wholes.flight_started_at,
    wholes.flight_ended_at,
    first_fix.latitude_deg as first_latitude_deg,
    first_fix.longitude_deg as first_longitude_deg,
    last_fix.latitude_deg as last_latitude_deg,
    last_fix.longitude_deg as last_longitude_deg
from wholes
inner join flights on wholes.icao24 = flights.icao24 and wholes.flight_id = flights.flight_id
left join blocks on wholes.icao24 = blocks.icao24 and wholes.flight_id = blocks.flight_id
left join samples as first_fix
    on
        wholes.icao24 = first_fix.icao24
        and wholes.flight_id = first_fix.flight_id
        and wholes.flight_first_sampled_at = first_fix.positioned_at
left join samples as last_fix
    on
        wholes.icao24 = last_fix.icao24
        and wholes.flight_id = last_fix.flight_id
        and wholes.flight_last_sampled_at = last_fix.positioned_at
