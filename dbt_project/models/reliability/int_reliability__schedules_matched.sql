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
        -- Of two that are due at once the later to depart is not looked for.
        row_number() over (
            partition by callsign, arrival_airport, scheduled_arrival_at
            order by is_cancelled asc, scheduled_departure_at asc
        ) as place
    from {{ ref('stg_operator__schedules') }}
    where scheduled_arrival_at <= {{ now_at() }}
),

landings as (
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

-- What was due and what came, by callsign and airport on one line of time.
moments as (
    select
        callsign,
        arrival_airport as airport,
        scheduled_arrival_at as due_at,
        null::timestamptz as landed_at,
        scheduled_arrival_at as moment_at,
        null as icao24,
        null as flight_id,
        null as movement_id
    from schedules
    where not is_cancelled and place = 1
    union all
    select
        callsign,
        airport,
        null as due_at,
        moved_at as landed_at,
        moved_at as moment_at,
        icao24,
        flight_id,
        movement_id
    from landings
),

neighbours as (
    select
        *,
        max(due_at) over so_far as due_before_at,
        min(due_at) over from_here as due_after_at,
        max(landed_at) over so_far as landed_before_at,
        min(landed_at) over from_here as landed_after_at
    from moments
    window
        so_far as (partition by callsign, airport order by moment_at),
        -- Backwards: a frame whose start moves is summed up anew for each row.
        from_here as (partition by callsign, airport order by moment_at desc)
),

nearest as (
    select
        *,
        case
            when landed_after_at - moment_at < moment_at - landed_before_at then landed_after_at
            else coalesce(landed_before_at, landed_after_at)
        end as nearest_landed_at,
        case
            when due_after_at - moment_at < moment_at - due_before_at then due_after_at
            else coalesce(due_before_at, due_after_at)
        end as nearest_due_at
    from neighbours
),

-- Each is the nearest of the other, so that a landing is of one flight and a flight has one landing.
pairs as (
    select distinct on (due.callsign, due.airport, due.due_at)
        due.callsign,
        due.airport,
        due.due_at,
        landed.icao24,
        landed.flight_id,
        landed.movement_id,
        landed.landed_at
    from nearest as due
    inner join nearest as landed
        on
            due.callsign = landed.callsign
            and due.airport = landed.airport
            and due.nearest_landed_at = landed.landed_at
            and due.due_at = landed.nearest_due_at
    where
        due.nearest_landed_at >= due.due_at - interval '{{ early_h }} hours'
        and due.nearest_landed_at <= due.due_at + interval '{{ late_h }} hours'
    order by due.callsign asc, due.airport asc, due.due_at asc, landed.movement_id asc
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
    pairs.landed_at,
    extract(epoch from pairs.landed_at - schedules.scheduled_arrival_at)::double precision / 60 + {{ taxi_in_min }}
        as arrival_delay_min,
    case
        when schedules.is_cancelled then 'cancelled'
        when pairs.landed_at is not null then 'landed'
        else 'not_seen'
    end as arrival_status
from schedules
left join pairs
    on
        schedules.callsign = pairs.callsign
        and schedules.arrival_airport = pairs.airport
        and schedules.scheduled_arrival_at = pairs.due_at
        and schedules.place = 1
        and not schedules.is_cancelled
