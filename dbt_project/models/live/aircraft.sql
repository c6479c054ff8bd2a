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
inner join {{ ref('fct_flights') }} as flights
    on
        clock.now_at - interval '60 seconds' < flights.last_seen_at
        and clock.now_at >= flights.first_seen_at
cross join
    lateral (
        select
            positions.positioned_at as heard_at,
            positions.latitude_deg,
            positions.longitude_deg,
            positions.altitude_m,
            positions.height_m,
            positions.ground_speed_mps,
            positions.track_deg,
            positions.mean_vertical_rate_mps as vertical_rate_mps,
            positions.phase
        from {{ ref('int_positions__phased') }} as positions
        where
            positions.icao24 = flights.icao24
            and positions.positioned_at > clock.now_at - interval '60 seconds'
            and positions.positioned_at <= clock.now_at
            and positions.flight_id = flights.flight_id
            and positions.position_status = 'fresh'
        order by positions.positioned_at desc
        limit 1
    ) as last_fix
left join {{ ref('stg_reference__aircraft') }} as airframes on flights.icao24 = airframes.icao24
{{ join_country('flights') }}
