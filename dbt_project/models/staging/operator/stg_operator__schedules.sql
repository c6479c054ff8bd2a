{{ config(materialized='standing_view') }}

select
    schedules.callsign,
    schedules.scheduled_departure_at,
    schedules.scheduled_arrival_at,
    schedules.flight_number,
    schedules.departure_airport,
    schedules.arrival_airport,
    schedules.airframe,
    addresses.icao24,
    schedules.is_cancelled,
    schedules.departure_delay_min,
    schedules.is_technical
from {{ source('raw', 'schedules') }} as schedules
{{ address_of_registration('schedules.airframe') }}
