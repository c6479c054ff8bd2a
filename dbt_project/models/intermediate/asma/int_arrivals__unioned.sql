with positions as (
    -- After a touch-and-go the first landing is the arrival: the ring was crossed for it.
    select distinct on (flight_id, airport, ring_nm)
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
    from {{ ref('int_arrivals__paired') }}
    where withdrawn_at is null and label_quality <> 'provisional'
    order by flight_id, airport, ring_nm, landed_at
),

history as (
    select
        uid as flight_id,
        icao24,
        airport,
        ring_nm,
        crossed_at,
        landed_at,
        transit_min,
        sector,
        runway_direction,
        runway,
        -- The source extrapolates every threshold time.
        'extrapolated' as label_quality,
        'history' as source
    from {{ ref('stg_history__arrivals') }}
),

arrivals as (
    select * from positions
    union all
    select * from history
)

select
    flight_id || '_' || airport || '_' || ring_nm as arrival_id,
    flight_id,
    icao24,
    airport,
    ring_nm,
    crossed_at,
    landed_at,
    date_trunc('month', landed_at at time zone 'UTC')::date as landing_month,
    transit_min,
    sector,
    runway_direction,
    runway,
    -- Without runway data all landings of ours have a direction only, which then tells runways apart.
    coalesce(runway, runway_direction) as reference_runway,
    label_quality,
    source
from arrivals
