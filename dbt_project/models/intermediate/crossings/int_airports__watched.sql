{{ config(materialized='reference', tags=['hourly']) }}

select
    airport,
    name,
    latitude_deg,
    longitude_deg,
    elevation_m,
    timezone
from {{ ref('stg_reference__airports') }}
where airport in ({{ watch_airports_sql() }})
