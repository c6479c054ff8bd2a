{{ config(materialized='standing_view', tags=['hourly']) }}

select
    reference,
    applies_to,
    title,
    due_on,
    due_hours,
    due_cycles
from {{ source('raw', 'bulletins') }}
