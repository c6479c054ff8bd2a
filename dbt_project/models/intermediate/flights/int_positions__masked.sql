{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'flight_started_at'},
    indexes=[{'columns': ['hour_at']}, {'columns': ['icao24', 'flight_started_at']}]
) }}

with flights as (
    select *
    from {{ ref('int_flights__segmented') }}
    {{ join_changes('int_flights__segmented', 'flight_started_at') }}
)

select
    flights.flight_id,
    min(flights.icao24) as icao24,
    min(flights.flight_started_at) as flight_started_at,
    date_bin('1 hour', states.positioned_at, 'epoch') as hour_at,
    states.source,
    states.position_status,
    coalesce(states.masked_reasons, '') as masked_reasons,
    count(*) as row_count
from flights
inner join {{ ref('stg_opensky__states') }} as states
    on
        flights.icao24 = states.icao24
        and states.positioned_at between flights.flight_started_at and flights.flight_ended_at
group by flights.flight_id, hour_at, states.source, states.position_status, states.masked_reasons
