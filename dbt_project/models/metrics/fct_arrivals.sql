{{ config(tags=['hourly']) }}

with arrivals as (
    select * from {{ ref('int_arrivals__asma_eligibility') }}
),

-- "references" is a reserved word.
valid_references as (
    select * from {{ ref('int_asma__references') }}
    where is_valid
)

select
    arrivals.arrival_id,
    arrivals.flight_id,
    arrivals.icao24,
    arrivals.airport,
    arrivals.ring_nm,
    arrivals.crossed_at,
    arrivals.landed_at,
    arrivals.transit_min,
    arrivals.sector,
    arrivals.runway_direction,
    arrivals.runway,
    arrivals.label_quality,
    arrivals.source,
    arrivals.exclusion_reason,
    valid_references.percentile_min as reference_min,
    arrivals.transit_min - valid_references.percentile_min as additional_min
from arrivals
left join valid_references
    on
        arrivals.source = valid_references.source
        and arrivals.airport = valid_references.airport
        and arrivals.ring_nm = valid_references.ring_nm
        and arrivals.sector = valid_references.sector
        and arrivals.reference_runway = valid_references.reference_runway
        and arrivals.landing_month = valid_references.month
        and arrivals.exclusion_reason is null
