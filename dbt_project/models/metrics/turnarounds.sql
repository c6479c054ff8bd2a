{{ config(
    tags=['hourly'],
    indexes=[{'columns': ['arrival_movement_id'], 'unique': true}, {'columns': ['airport', 'landed_at']}]
) }}

with ordered as (
    select
        *,
        lead(movement_id) over by_airframe as departure_movement_id,
        lead(direction) over by_airframe as next_direction,
        lead(airport) over by_airframe as next_airport,
        lead(moved_at) over by_airframe as took_off_at,
        lead(stand_at) over by_airframe as left_stand_at,
        lead(stand_latitude_deg) over by_airframe as left_latitude_deg,
        lead(stand_longitude_deg) over by_airframe as left_longitude_deg,
        lead(airline) over by_airframe as next_airline
    from {{ ref('int_ground__taxied') }}
    window by_airframe as (partition by icao24 order by moved_at, movement_id)
),

pairs as (
    select
        *,
        {{ distance_m(
            'stand_latitude_deg', 'stand_longitude_deg', 'left_latitude_deg', 'left_longitude_deg',
        ) }} as towed_m
    from ordered
    where
        direction = 'taxi_in'
        and next_direction = 'taxi_out'
        and airport = next_airport
        -- After more it may have flown unheard.
        and took_off_at - moved_at <= interval '24 hours'
),

judged as (
    select
        *,
        case
            when stand_at is null and left_stand_at is null then 'neither_stand_seen'
            when stand_at is null then 'arrival_stand_not_seen'
            when left_stand_at is null then 'departure_stand_not_seen'
            when towed_m > 100 then 'towed'
        end as stand_reason
    from pairs
)

select
    movement_id as arrival_movement_id,
    departure_movement_id,
    icao24,
    coalesce(next_airline, airline) as airline,
    typecode,
    airport,
    moved_at as landed_at,
    stand_at as reached_stand_at,
    left_stand_at,
    took_off_at,
    case when stand_reason is null then date_part('epoch', left_stand_at - stand_at) / 60 end as stand_min,
    stand_reason
from judged
