{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'hour_at', 'rebuilt_by': 'hours'},
    indexes=[{'columns': ['hour_at', 'country'], 'unique': true}]
) }}

with minutes as (
    select
        icao24,
        date_trunc('hour', positioned_at, 'UTC') as hour_at,
        position_count,
        case when phase <> 'GROUND' then altitude_m end as altitude_m,
        case when phase <> 'GROUND' then ground_speed_mps end as ground_speed_mps
    from {{ ref('int_positions__sampled_1m') }}
    {{ join_changed_hours('int_positions__sampled_1m', 'positioned_at') }}
),

aircraft as (
    select distinct icao24
    from minutes
),

registered as (
    select
        aircraft.icao24,
        coalesce(registration.country, 'unknown') as country
    from aircraft
    {{ join_country('aircraft') }}
),

anomalies as (
    select
        date_trunc('hour', started_at, 'UTC') as hour_at,
        coalesce(country, 'unknown') as country,
        count(*) as anomaly_count
    from {{ ref('fct_anomalies') }}
    {{ join_changed_hours('fct_anomalies', 'started_at') }}
    group by date_trunc('hour', started_at, 'UTC'), coalesce(country, 'unknown')
),

hours as (
    select
        minutes.hour_at,
        registered.country,
        sum(minutes.position_count)::bigint as position_count,
        count(distinct minutes.icao24) as aircraft_count,
        -- Means of whole numbers do not depend on the order in which they are added.
        (avg(round(minutes.altitude_m * 100)::bigint) / 100)::double precision as mean_altitude_m,
        (avg(round(minutes.ground_speed_mps * 100)::bigint) / 100)::double precision as mean_ground_speed_mps,
        max(minutes.ground_speed_mps) as max_ground_speed_mps,
        count(minutes.ground_speed_mps) as speed_minute_count
    from minutes
    inner join registered on minutes.icao24 = registered.icao24
    group by minutes.hour_at, registered.country
)

select
    hours.hour_at,
    hours.country,
    hours.position_count,
    hours.aircraft_count,
    hours.mean_altitude_m,
    hours.mean_ground_speed_mps,
    hours.max_ground_speed_mps,
    hours.speed_minute_count,
    coalesce(anomalies.anomaly_count, 0) as anomaly_count
from hours
left join anomalies
    on
        hours.hour_at = anomalies.hour_at
        and hours.country = anomalies.country
