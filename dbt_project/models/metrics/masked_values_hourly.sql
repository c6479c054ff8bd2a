{{ config(
    materialized='rebuilt',
    meta={'time': 'hour_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['hour_at']}],
    post_hook='analyze {{ this }}'
) }}

with states as (
    select
        source,
        position_status,
        date_trunc('hour', positioned_at, 'UTC') as hour_at,
        string_to_array(masked_reasons, ',') as reasons
    from {{ ref('stg_opensky__states') }}
    {{ join_changed_hours('stg_opensky__states', 'positioned_at') }}
),

-- Every reason, so that none is told from not looked at.
reasons as (
    select reason
    from (
        values
        ('altitude_range'),
        ('altitude_spike'),
        ('speed_range'),
        ('vertical_rate_range'),
        ('track_range'),
        ('position_stale'),
        ('position_jump')
    ) as listed (reason)
)

select
    states.hour_at,
    states.source,
    reasons.reason,
    count(*) filter (
        where
        coalesce(reasons.reason = any(states.reasons), false)
        or reasons.reason = 'position_' || states.position_status
    ) as masked_count,
    count(*) as row_count
from states
cross join reasons
group by states.hour_at, states.source, reasons.reason
