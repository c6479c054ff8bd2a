{{ config(materialized='standing_view') }}

select
    task,
    applies_to,
    description,
    jasc_code,
    part_number,
    interval_hours,
    interval_cycles,
    interval_days
from {{ source('raw', 'maintenance_programmes') }}
