{{ config(materialized='reference', indexes=[{'columns': ['latitude_deg']}]) }}

with airports as (
    select
        icao,
        iata,
        name,
        city,
        country,
        latitude_deg,
        longitude_deg,
        elevation_m,
        timezone
    from {{ source('raw', 'airports') }}
    where
        icao ~ '^[A-Z]{4}$'
        and latitude_deg between -90 and 90
        and longitude_deg between -180 and 180
        and elevation_m between -500 and 5500
),

known_timezones as (
    select zones.name as timezone
    from pg_timezone_names as zones
)

select
    airports.icao as airport,
    airports.iata,
    airports.name,
    airports.city,
    airports.country,
    airports.latitude_deg,
    airports.longitude_deg,
    airports.elevation_m,
    known_timezones.timezone,
    -- Nobody publishes schedules freely; an IATA code is the usual stand-in.
    coalesce(airports.iata, '') <> '' as has_scheduled_service
from airports
left join known_timezones on airports.timezone = known_timezones.timezone
