{{ config(materialized='standing_view', tags=['hourly']) }}

select
    icao24,
    registration,
    typecode,
    icao_type_description,
    operator,
    operator_icao,
    -- Doc 8643: helicopter, gyrocopter, tilt-rotor. Null where the kind is unknown.
    left(icao_type_description, 1) in ('H', 'G', 'T') as is_rotorcraft
from {{ source('raw', 'aircraft') }}
