with likeliest as (
    select distinct on (icao24, flight_id) *
    from {{ ref('candidates') }}
    order by icao24 asc, flight_id asc, landing_probability desc, airport asc
)

select
    likeliest.icao24,
    likeliest.flight_id,
    likeliest.callsign,
    airframes.typecode,
    likeliest.airport,
    likeliest.status,
    likeliest.heard_at,
    likeliest.distance_nm,
    likeliest.altitude_m,
    likeliest.predicted_landing_at,
    likeliest.predicted_low_at,
    likeliest.predicted_high_at,
    likeliest.predicted_landing_local,
    likeliest.landing_probability,
    likeliest.is_on_final,
    likeliest.ring_nm,
    likeliest.crossed_at,
    likeliest.predicted_at,
    likeliest.model_name,
    likeliest.model_version
from likeliest
left join {{ ref('stg_reference__aircraft') }} as airframes on likeliest.icao24 = airframes.icao24
where likeliest.landing_probability >= {{ var('board_probability') }}
