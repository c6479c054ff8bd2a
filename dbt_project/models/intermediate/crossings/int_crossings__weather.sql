{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['crossing_id']}, {'columns': ['crossed_at']}]
) }}

with crossings as (
    select unioned.*
    from {{ ref('int_crossings__unioned') }} as unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
)

select
    crossings.crossing_id,
    crossings.is_live,
    crossings.crossed_at,
    latest.*
from crossings
left join
    lateral (
        select
            reports.wind_east_mps,
            reports.wind_north_mps,
            reports.wind_gust_mps,
            reports.visibility_m,
            reports.ceiling_m
        from {{ ref('stg_weather__metars') }} as reports
        where
            reports.airport = crossings.airport
            and reports.known_at <= crossings.crossed_at
            -- The key's index knows the observation only, and would be read from its end.
            and reports.observed_at <= crossings.crossed_at
            and reports.observed_at > crossings.crossed_at - interval '{{ var("weather_look_back_h") }} hours'
        order by reports.observed_at desc
        limit 1
    ) as latest
    on true
