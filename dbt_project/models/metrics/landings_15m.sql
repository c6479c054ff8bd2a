{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'quarter_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['airport', 'quarter_at'], 'unique': true}, {'columns': ['quarter_at']}]
) }}

with landings as (
    select
        movements.airport,
        date_bin('15 minutes', movements.moved_at, 'epoch') as quarter_at
    from {{ ref('fct_movements') }} as movements
    {{ join_changed_hours('movements', 'moved_at', with_aftermath=true) }}
    where movements.movement = 'landing'
)

select
    airport,
    quarter_at,
    count(*) as landing_count
from landings
group by airport, quarter_at
