{{ config(tags=['hourly'], indexes=[{'columns': ['country'], 'unique': true}]) }}

select
    country,
    min(hour_at) as first_hour_at,
    max(hour_at) as last_hour_at,
    sum(speed_minute_count)::bigint as speed_minute_count,
    sum(mean_ground_speed_mps * speed_minute_count order by hour_at) / sum(speed_minute_count)::double precision
        as mean_ground_speed_mps,
    max(max_ground_speed_mps) as max_ground_speed_mps
from {{ ref('country_hourly') }}
where speed_minute_count > 0
group by country
