{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'hour_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['hour_at', 'area'], 'unique': true}]
) }}

-- A step that begins in an hour can end in the next.
with minutes as (
    select
        icao24,
        positioned_at,
        latitude_deg,
        longitude_deg,
        position_count,
        stale_count,
        phase <> 'GROUND' as is_airborne,
        lead(positioned_at) over (partition by icao24, flight_id order by positioned_at) as next_at
    from {{ ref('int_positions__sampled_1m') }}
    -- Null in rows of before these columns, which retention keeps as they are.
    where
        latitude_deg is not null
        and stale_count is not null {{ and_since_changed_hours('positioned_at', '0 minutes') }}
),

{{ watched_areas() }},

steps as materialized (
    select
        minutes.*,
        date_trunc('hour', minutes.positioned_at, 'UTC') as hour_at,
        case
            when minutes.is_airborne
                then round(extract(epoch from minutes.next_at - minutes.positioned_at) * 1000)::bigint
        end as lasted_ms,
        {{ unit_vector('minutes.latitude_deg', 'minutes.longitude_deg') }}
    from minutes
    {{ join_changed_hours('minutes', 'positioned_at') }}
),

located as (
    select
        steps.*,
        {{ area_name('steps') }} as area
    from steps
    {{ join_area('steps') }}
)

select
    hour_at,
    area,
    sum(position_count)::bigint as position_count,
    sum(stale_count)::bigint as stale_count,
    count(distinct date_trunc('minute', positioned_at, 'UTC')) as heard_minute_count,
    coalesce(sum(lasted_ms), 0)::bigint as airborne_ms,
    -- One position tells of a minute.
    coalesce(sum(least(lasted_ms, 60000)) filter (where lasted_ms is not null), 0)::bigint as heard_ms,
    count(*) filter (where lasted_ms > 1000 * {{ var('crossing_gap_s') }}) as gap_count,
    max(lasted_ms) filter (where lasted_ms > 1000 * {{ var('crossing_gap_s') }}) as longest_gap_ms
from located
group by hour_at, area
