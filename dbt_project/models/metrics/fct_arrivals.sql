with arrivals as (
    -- After a touch-and-go the first landing is the arrival: the ring was crossed for it.
    select distinct on (flight_id, airport, ring_nm) *
    from {{ ref('int_arrivals__paired') }}
    where withdrawn_at is null and label_quality <> 'provisional'
    order by flight_id, airport, ring_nm, landed_at
)

select
    flight_id || '_' || airport || '_' || ring_nm as arrival_id,
    flight_id,
    icao24,
    airport,
    ring_nm,
    crossed_at,
    landed_at,
    transit_min,
    sector,
    runway_direction,
    runway,
    label_quality,
    'positions' as source
from arrivals
