{{ config(
    indexes=[
        {'columns': ['airport', 'ring_nm', 'source', 'sector', 'reference_runway', 'landing_month', 'transit_min']}
    ]
) }}

with arrivals as (
    select * from {{ ref('int_arrivals__unioned') }}
),

airports as (
    select * from {{ ref('stg_reference__airports') }}
),

aircraft as (
    select * from {{ ref('stg_reference__aircraft') }}
),

-- Emitter category 8 is rotorcraft. One minute around the crossing, so that the cost follows the arrivals
-- and not the positions.
rotorcraft as (
    select distinct arrivals.arrival_id
    from arrivals
    inner join {{ ref('stg_opensky__states') }} as states
        on
            arrivals.icao24 = states.icao24
            and states.positioned_at between arrivals.crossed_at - interval '30 seconds'
            and arrivals.crossed_at + interval '30 seconds'
    where arrivals.source = 'positions' and states.category = 8
),

described as (
    select
        arrivals.*,
        (arrivals.landed_at at time zone airports.timezone)::time as landed_local,
        -- The type decides where it is known: a category is what an installer typed in.
        coalesce(aircraft.is_rotorcraft, rotorcraft.arrival_id is not null) as is_rotorcraft
    from arrivals
    left join airports on arrivals.airport = airports.airport
    left join aircraft on left(arrivals.icao24, 6) = aircraft.icao24
    left join rotorcraft on arrivals.arrival_id = rotorcraft.arrival_id
)

select
    arrival_id,
    flight_id,
    icao24,
    airport,
    ring_nm,
    crossed_at,
    landed_at,
    landing_month,
    transit_min,
    sector,
    runway_direction,
    runway,
    reference_runway,
    label_quality,
    source,
    case
        when transit_min > 120 then 'transit_over_120_min'
        when is_rotorcraft then 'helicopter'
        when landed_local is null then 'local_time_unknown'
        when landed_local >= time '22:00' or landed_local < time '07:00' then 'night_landing'
    end as exclusion_reason
from described
-- A group's arrivals lie together on disk: the look-backs of int_asma__references read them by the run.
order by airport, ring_nm, source, sector, reference_runway, landing_month
