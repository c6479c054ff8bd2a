{#- The last of an approach before the stand, which positions do not show: docs/decisions/reliability.md. -#}
{%- set taxi_in_min = 5 -%}
{#- A landing is of a flight that was due so much later, or so much earlier. -#}
{%- set early_h, late_h = 4, 12 -%}

{{ config(
    schema='intermediate', contract={'enforced': false},
    indexes=[{'columns': ['callsign', 'scheduled_departure_at'], 'unique': true}, {'columns': ['icao24', 'flight_id']}]
) }}

with schedules as (
    select
        callsign,
        scheduled_departure_at,
        scheduled_arrival_at,
        arrival_airport,
        is_cancelled,
        coalesce({{ operator('callsign') }}, 'unknown') as airline,
        (scheduled_arrival_at at time zone 'UTC')::date as arrival_on
    from {{ ref('stg_operator__schedules') }}
    where scheduled_arrival_at <= {{ now_at() }}
),

seen as (
    select
        movements.icao24,
        movements.flight_id,
        movements.movement_id,
        flights.callsign,
        movements.airport,
        movements.moved_at
    from {{ ref('fct_movements') }} as movements
    inner join {{ ref('fct_flights') }} as flights
        on movements.icao24 = flights.icao24 and movements.flight_id = flights.flight_id
    where movements.movement = 'landing' and flights.callsign is not null
    union all
    select
        icao24,
        uid as flight_id,
        uid as movement_id,
        callsign,
        airport,
        landed_at as moved_at
    from {{ ref('stg_history__arrivals') }}
    where is_innermost and callsign is not null
),

landed as (
    select
        *,
        ((moved_at - interval '{{ late_h }} hours') at time zone 'UTC')::date as first_arrival_on,
        ((moved_at + interval '{{ early_h }} hours') at time zone 'UTC')::date as last_arrival_on
    from seen
),

-- With each day whose schedules it may be of: a join by day is quick, one by a span of time is not.
landings as (
    select
        landed.*,
        landed.first_arrival_on + shifts.day_count as arrival_on
    from landed
    cross join generate_series(0, landed.last_arrival_on - landed.first_arrival_on) as shifts (day_count)
),

pairs as (
    select
        schedules.callsign,
        schedules.scheduled_departure_at,
        landings.icao24,
        landings.flight_id,
        landings.movement_id,
        landings.moved_at,
        row_number() over (
            partition by schedules.callsign, schedules.scheduled_departure_at
            order by
                abs(extract(epoch from landings.moved_at - schedules.scheduled_arrival_at)) asc,
                landings.movement_id asc
        ) as place_of_landing,
        row_number() over (
            partition by landings.icao24, landings.movement_id
            order by
                abs(extract(epoch from landings.moved_at - schedules.scheduled_arrival_at)) asc,
                schedules.scheduled_departure_at asc
        ) as place_of_schedule
    from schedules
    inner join landings
        on
            schedules.callsign = landings.callsign
            and schedules.arrival_airport = landings.airport
            and schedules.arrival_on = landings.arrival_on
            and landings.moved_at >= schedules.scheduled_arrival_at - interval '{{ early_h }} hours'
            and landings.moved_at <= schedules.scheduled_arrival_at + interval '{{ late_h }} hours'
    where not schedules.is_cancelled
)

select
    schedules.callsign,
    schedules.scheduled_departure_at,
    schedules.scheduled_arrival_at,
    schedules.arrival_airport,
    schedules.airline,
    pairs.icao24,
    pairs.flight_id,
    pairs.movement_id,
    pairs.moved_at as landed_at,
    extract(epoch from pairs.moved_at - schedules.scheduled_arrival_at)::double precision / 60 + {{ taxi_in_min }}
        as arrival_delay_min,
    case
        when schedules.is_cancelled then 'cancelled'
        when pairs.moved_at is not null then 'landed'
        else 'not_seen'
    end as arrival_status
from schedules
-- Each is the nearest of the other, so that a landing is of one flight and a flight has one landing.
left join pairs
    on
        schedules.callsign = pairs.callsign
        and schedules.scheduled_departure_at = pairs.scheduled_departure_at
        and pairs.place_of_landing = 1
        and pairs.place_of_schedule = 1
