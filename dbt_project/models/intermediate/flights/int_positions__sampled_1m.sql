{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'positioned_at'},
    indexes=[{'columns': ['positioned_at']}, {'columns': ['icao24', 'positioned_at']}]
) }}

with minutes as (
    select
        flight_id,
        min(icao24) as icao24,
        max(positioned_at) as positioned_at,
        count(*) filter (where position_status = 'fresh') as position_count,
        count(*) filter (where position_status = 'stale') as stale_count,
        {{ abnormal_in_minute() }}
    from {{ ref('int_positions__phased') }}
    {{ join_changes('int_positions__phased', 'positioned_at') }}
    where position_age_s <= 60
    group by flight_id, date_bin('1 minute', positioned_at, 'epoch')
)

select
    positions.flight_id,
    positions.icao24,
    positions.positioned_at,
    positions.phase,
    positions.latitude_deg,
    positions.longitude_deg,
    positions.altitude_m,
    positions.height_m,
    positions.ground_speed_mps,
    minutes.position_count,
    minutes.stale_count,
    minutes.is_speed_abnormal,
    minutes.is_altitude_abnormal,
    minutes.is_vertical_rate_abnormal
from minutes
inner join {{ ref('int_positions__phased') }} as positions
    on
        minutes.icao24 = positions.icao24
        and minutes.positioned_at = positions.positioned_at
