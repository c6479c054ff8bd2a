{{ config(
    materialized='rebuilt',
    meta={'time': 'minute_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['minute_at']}],
    post_hook='analyze {{ this }}'
) }}

with minutes as (
    select
        icao24,
        date_trunc('minute', positioned_at, 'UTC') as minute_at,
        max(positioned_at) as last_at
    from {{ ref('int_positions__phased') }}
    {{ join_changed_hours('int_positions__phased', 'positioned_at') }}
    where position_age_s <= 60
    group by icao24, date_trunc('minute', positioned_at, 'UTC')
)

select
    minutes.minute_at,
    positions.phase,
    count(*) as aircraft_count
from minutes
inner join {{ ref('int_positions__phased') }} as positions
    on
        minutes.icao24 = positions.icao24
        and minutes.last_at = positions.positioned_at
group by minutes.minute_at, positions.phase
