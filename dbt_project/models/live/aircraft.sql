with clock as (
    select {{ now_at() }} as now_at
)

select
    flights.icao24,
    flights.flight_id,
    flights.callsign,
    airframes.typecode,
    registration.country,
    last_fix.heard_at,
    last_fix.latitude_deg,
    last_fix.longitude_deg,
    last_fix.altitude_m,
    last_fix.height_m,
    last_fix.ground_speed_mps,
    last_fix.track_deg,
    last_fix.vertical_rate_mps,
    last_fix.phase
from clock
{{ join_heard("interval '60 seconds'") }}
left join {{ ref('stg_reference__aircraft') }} as airframes on flights.icao24 = airframes.icao24
{{ join_country('flights') }}
