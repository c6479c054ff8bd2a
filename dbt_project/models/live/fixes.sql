-- Straight from the loads: the same within a second of an answer, while `aircraft` waits for the lane.
select distinct on (icao24)
    icao24,
    {{ sent_callsign() }} as callsign,
    time_position as heard_at,
    latitude_deg,
    longitude_deg,
    case when baro_altitude_m between -600 and 18300 then baro_altitude_m end as altitude_m,
    case when velocity_mps between 0 and 360 then velocity_mps end as ground_speed_mps,
    true_track_deg as track_deg,
    vertical_rate_mps,
    coalesce(is_on_ground, false) as is_on_ground
from {{ source('raw', 'opensky_states') }}
where
    time_position > {{ now_at() }} - interval '60 seconds'
    and time_position <= {{ now_at() }}
order by
    icao24 asc,
    time_position desc,
    source asc
