{{ config(schema='intermediate', contract={'enforced': false}) }}

with named as (
    select
        airframe,
        icao24
    from {{ ref('stg_operator__exposure') }}
    union
    select
        airframe,
        icao24
    from {{ ref('stg_operator__configurations') }}
    union
    select
        airframe,
        icao24
    from {{ ref('stg_operator__maintenance_events') }}
    where airframe is not null
),

models as (
    select distinct on (airframe)
        airframe,
        aircraft_model
    from {{ ref('stg_operator__maintenance_events') }}
    where aircraft_model is not null
    order by airframe asc, occurred_on desc, event_id desc
)

select
    named.icao24,
    named.airframe,
    aircraft.typecode,
    coalesce(aircraft.typecode, models.aircraft_model, 'unknown') as fleet
from named
left join {{ ref('stg_reference__aircraft') }} as aircraft on named.icao24 = aircraft.icao24
left join models on named.airframe = models.airframe
