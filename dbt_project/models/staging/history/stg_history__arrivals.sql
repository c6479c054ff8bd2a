{{ config(
    tags=['hourly'],
    indexes=[
        {'columns': ['airport', 'landed_at']},
        {'columns': ['airport', 'ring_nm', 'landed_at']},
        {'columns': ['airport', 'ring_nm', 'crossed_at']},
    ]
) }}

with arrivals as (
    select * from {{ source('raw', 'arrivals_history') }}
    where is_arrival
),

crossings as (
    select
        arrivals.airport,
        arrivals.uid,
        arrivals.icao24,
        arrivals.callsign,
        arrivals.runway,
        arrivals.landed_at,
        rings.ring_nm,
        rings.ring_nm = min(rings.ring_nm) over (partition by arrivals.airport, arrivals.uid) as is_innermost,
        rings.crossed_at,
        rings.bearing_deg,
        rings.latitude_deg,
        rings.longitude_deg,
        rings.altitude_m
    from arrivals
    cross join
        lateral (
            values
            {% for ring_nm in [40, 50, 100] -%}
                (
                    {{ ring_nm }},
                    arrivals.ring_{{ ring_nm }}nm_crossed_at,
                    arrivals.ring_{{ ring_nm }}nm_bearing_deg,
                    arrivals.ring_{{ ring_nm }}nm_latitude_deg,
                    arrivals.ring_{{ ring_nm }}nm_longitude_deg,
                    arrivals.ring_{{ ring_nm }}nm_altitude_m
                ){{ ',' if not loop.last }}
            {% endfor %}
        ) as rings (ring_nm, crossed_at, bearing_deg, latitude_deg, longitude_deg, altitude_m)
    where rings.crossed_at is not null
)

select
    airport,
    uid,
    ring_nm,
    icao24,
    callsign,
    crossed_at,
    bearing_deg,
    {{ sector('bearing_deg') }} as sector,
    latitude_deg,
    longitude_deg,
    altitude_m,
    landed_at,
    extract(epoch from landed_at - crossed_at)::double precision / 60 as transit_min,
    is_innermost,
    left(runway, 2) as runway_direction,
    runway
from crossings
