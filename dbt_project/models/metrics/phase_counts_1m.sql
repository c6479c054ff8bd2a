{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'minute_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['minute_at']}]
) }}

with positions as (
    select
        icao24,
        positioned_at,
        phase,
        date_bin('1 minute', positioned_at, 'epoch') as minute_at
    from {{ ref('int_positions__sampled_1m') }}
    {{ join_changed_hours('int_positions__sampled_1m', 'positioned_at') }}
),

-- A flight that ended within the minute gives way to the aircraft's next.
last_of_minute as (
    select distinct on (icao24, minute_at)
        minute_at,
        phase
    from positions
    order by icao24 asc, minute_at asc, positioned_at desc
)

select
    minute_at,
    phase,
    count(*) as aircraft_count
from last_of_minute
group by minute_at, phase
