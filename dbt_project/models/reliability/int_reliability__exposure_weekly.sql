{{ config(schema='intermediate', contract={'enforced': false}) }}

select
    airframe,
    fleet,
    date_trunc('week', day_on)::date as week_on,
    min(icao24) as icao24,
    sum(flight_hours) as flight_hours,
    sum(cycles) as cycles,
    case when min(exposure_source) = max(exposure_source) then min(exposure_source) else 'both' end as exposure_source,
    sum(coverage_share * flight_hours) / nullif(sum(flight_hours) filter (where coverage_share is not null), 0)
        as coverage_share
from {{ ref('int_reliability__exposure_daily') }}
group by airframe, fleet, date_trunc('week', day_on)::date
