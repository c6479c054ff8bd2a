{{ config(materialized='standing_view') }}

select
    part_number,
    part_name,
    jasc_code,
    life_limit_hours,
    life_limit_cycles
from {{ source('raw', 'parts') }}
