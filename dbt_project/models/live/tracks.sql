select
    icao24,
    flight_id,
    positioned_at,
    latitude_deg,
    longitude_deg,
    altitude_m,
    ground_speed_mps,
    track_deg,
    phase
from {{ ref('int_positions__phased') }}
where position_status = 'fresh'
