with arrivals as (
    select * from {{ ref('int_arrivals__asma_eligibility') }}
    where ring_nm = {{ asma_fixed_ring_nm() }}
),

history as (
    select * from {{ ref('stg_history__arrivals') }}
    where ring_nm = {{ asma_fixed_ring_nm() }}
),

crossings as (
    select * from {{ ref('fct_ring_crossings') }}
    where ring_nm = {{ asma_fixed_ring_nm() }}
),

aircraft as (
    select * from {{ ref('stg_reference__aircraft') }}
),

described as (
    select
        arrivals.*,
        coalesce(history.bearing_deg, crossings.bearing_deg) as bearing_deg,
        {{ asma_aircraft_class('aircraft.typecode', 'aircraft.icao_type_description') }} as aircraft_class
    from arrivals
    left join history
        on
            arrivals.source = 'history'
            and arrivals.airport = history.airport
            and arrivals.flight_id = history.uid
    left join crossings
        on
            arrivals.icao24 = crossings.icao24
            and arrivals.source = 'positions'
            and arrivals.flight_id = crossings.flight_id
            and arrivals.airport = crossings.airport
            and arrivals.crossed_at = crossings.crossed_at
    left join aircraft on left(arrivals.icao24, 6) = aircraft.icao24
)

select
    arrival_id,
    icao24,
    source,
    airport,
    (landed_at at time zone 'UTC')::date as day,
    extract(year from landed_at at time zone 'UTC')::integer as landing_year,
    transit_min,
    aircraft_class,
    reference_runway as runway,
    {{ asma_entry_sector('airport', 'bearing_deg', 'sector') }} as sector,
    -- Nights count here; what keeps an arrival out of both methods comes first in the other's reasons.
    case when exclusion_reason in ('transit_over_120_min', 'helicopter') then exclusion_reason end
        as exclusion_reason
from described
