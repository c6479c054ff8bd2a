{{ config(materialized='standing_view') }}

select
    exposure.airframe,
    addresses.icao24,
    exposure.month_on,
    exposure.flight_hours,
    exposure.cycles
from {{ source('raw', 'exposure') }} as exposure
{{ address_of_registration('exposure.airframe') }}
