{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'hour_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['hour_at']}]
) }}

with positions as (
    select
        hour_at,
        source,
        position_status,
        row_count,
        string_to_array(masked_reasons, ',') as reasons
    from {{ ref('int_positions__masked') }}
    {{ join_changed_hours('int_positions__masked', 'hour_at') }}
),

-- Every reason, so that zero differs from not checked.
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
    positions.hour_at,
    positions.source,
    reasons.reason,
    coalesce(
        sum(positions.row_count) filter (
            where
            coalesce(reasons.reason = any(positions.reasons), false)
            or reasons.reason = 'position_' || positions.position_status
        ),
        0
    )::bigint as masked_count,
    sum(positions.row_count)::bigint as row_count
from positions
cross join reasons
group by positions.hour_at, positions.source, reasons.reason
