{#- What is called a variable wind is 3 kt or less, but for one that turns within the ten minutes. -#}
{%- set light_mps = 1.6 -%}

{{ config(materialized='view') }}

select
    airport,
    observed_at,
    observed_at + interval '{{ var("metar_delay_min") }} minutes' as known_at,
    wind_from_deg,
    wind_mps,
    -- Where the air moves to. A light wind without a direction moves it nowhere.
    case
        when wind_from_deg is not null then wind_mps * sind(wind_from_deg + 180)
        when wind_mps <= {{ light_mps }} then 0
    end as wind_east_mps,
    case
        when wind_from_deg is not null then wind_mps * cosd(wind_from_deg + 180)
        when wind_mps <= {{ light_mps }} then 0
    end as wind_north_mps,
    coalesce(gust_mps, wind_mps) as wind_gust_mps,
    visibility_m,
    ceiling_m
from {{ source('raw', 'metars') }}
