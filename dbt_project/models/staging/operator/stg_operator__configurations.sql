{{ config(materialized='standing_view') }}

select
    configurations.airframe,
    addresses.icao24,
    configurations.part_number,
    configurations.part_position,
    configurations.quantity,
    configurations.fitted_from_on,
    configurations.fitted_until_on
from {{ source('raw', 'configurations') }} as configurations
{{ address_of_registration('configurations.airframe') }}
