{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'window_started_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['window_started_at', 'scope', 'scope_name'], 'unique': true}]
) }}

-- A window that begins in an hour ends in the next: its minutes are read too.
with sampled as (
    select
        icao24,
        date_bin('1 minute', positioned_at, 'epoch') as minute_at,
        latitude_deg,
        longitude_deg,
        is_speed_abnormal,
        is_altitude_abnormal,
        is_vertical_rate_abnormal
    from {{ ref('int_positions__sampled_1m') }}
    -- Null in rows of before these columns, which retention keeps as they are.
    where latitude_deg is not null {{ and_since_changed_hours('positioned_at', '0 minutes') }}
),

aircraft as (
    select distinct icao24
    from sampled
),

registered as (
    select
        aircraft.icao24,
        registration.country
    from aircraft
    {{ join_country('aircraft') }}
),

minutes as (
    select
        sampled.*,
        registered.country
    from sampled
    inner join registered on sampled.icao24 = registered.icao24
),

{{ rate_windows(join_changed_hours('windows', 'window_started_at')) }}

select
    window_started_at,
    window_ended_at,
    scope,
    scope_name,
    aircraft_count,
    abnormal_speed_count,
    abnormal_altitude_count,
    abnormal_vertical_rate_count,
    abnormal_count,
    abnormal_share,
    is_critical
from rated
