{{ config(
    tags=['hourly'],
    indexes=[{'columns': ['movement_id'], 'unique': true}, {'columns': ['airport', 'moved_at']}]
) }}

with taxied as (
    select * from {{ ref('int_ground__taxied') }}
),

percentiles as (
    select * from {{ ref('taxi_references') }}
)

select
    taxied.movement_id,
    taxied.icao24,
    taxied.flight_id,
    taxied.airline,
    taxied.typecode,
    taxied.airport,
    taxied.direction,
    taxied.moved_at,
    taxied.runway,
    taxied.runway_at,
    taxied.stand_at,
    taxied.stand_latitude_deg,
    taxied.stand_longitude_deg,
    taxied.taxi_min,
    taxied.taxi_reason,
    coalesce(of_runway.reference_min, of_airport.reference_min) as reference_min,
    case
        when of_runway.reference_min is not null then 'runway'
        when of_airport.reference_min is not null then 'airport'
    end as reference_basis,
    taxied.taxi_min - coalesce(of_runway.reference_min, of_airport.reference_min) as additional_min,
    case
        when taxied.taxi_reason is not null then taxied.taxi_reason
        when coalesce(of_runway.reference_min, of_airport.reference_min) is null then 'too_few_for_reference'
    end as additional_reason,
    taxied.occupancy_s,
    taxied.occupancy_reason
from taxied
left join percentiles as of_runway
    on
        taxied.airport = of_runway.airport
        and taxied.direction = of_runway.direction
        and taxied.runway = of_runway.runway
        and taxied.taxi_min is not null
left join percentiles as of_airport
    on
        taxied.airport = of_airport.airport
        and taxied.direction = of_airport.direction
        and of_airport.runway = 'all'
        and taxied.taxi_min is not null
