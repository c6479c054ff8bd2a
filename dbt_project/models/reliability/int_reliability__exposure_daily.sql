{{ config(
    schema='intermediate', contract={'enforced': false},
    indexes=[{'columns': ['airframe', 'day_on'], 'unique': true}]
) }}

with months as (
    select
        *,
        extract(day from month_on + interval '1 month' - interval '1 day')::integer as day_count
    from {{ ref('stg_operator__exposure') }}
),

given as (
    select
        months.icao24,
        months.airframe,
        months.month_on + shifts.day_count as day_on,
        months.flight_hours / months.day_count as flight_hours,
        months.cycles::double precision / months.day_count as cycles,
        'operator' as exposure_source,
        null::double precision as coverage_share
    from months
    cross join generate_series(0, months.day_count - 1) as shifts (day_count)
),

flown as (
    select
        airframes.icao24,
        airframes.airframe,
        fleet_daily.flown_on as day_on,
        fleet_daily.airborne_h as flight_hours,
        fleet_daily.flight_count::double precision as cycles,
        'positions' as exposure_source,
        fleet_daily.coverage_share
    from {{ ref('fleet_daily') }} as fleet_daily
    inner join {{ ref('int_reliability__airframes') }} as airframes on fleet_daily.icao24 = airframes.icao24
    -- The operator's month is better known than what was heard of it.
    where not exists (
        select 1 from {{ ref('stg_operator__exposure') }} as exposure
        where
            exposure.airframe = airframes.airframe
            and exposure.month_on = date_trunc('month', fleet_daily.flown_on)::date
    )
),

exposed as (
    select * from given
    union all
    select * from flown
)

select
    exposed.icao24,
    exposed.airframe,
    airframes.fleet,
    exposed.day_on,
    exposed.flight_hours,
    exposed.cycles,
    -- From the airframe's first day in this table on.
    sum(exposed.flight_hours) over of_airframe as hours_to_date,
    sum(exposed.cycles) over of_airframe as cycles_to_date,
    exposed.exposure_source,
    exposed.coverage_share
from exposed
inner join {{ ref('int_reliability__airframes') }} as airframes on exposed.airframe = airframes.airframe
window of_airframe as (partition by exposed.airframe order by exposed.day_on)
