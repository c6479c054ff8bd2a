{{ config(materialized='standing_view') }}

select
    reference,
    applies_to,
    title,
    due_on,
    due_hours,
    due_cycles
from {{ source('raw', 'bulletins') }}
