{%- set columns = [
    'movement_id', 'flight_id', 'icao24', 'airport', 'movement', 'moved_at', 'runway_direction', 'runway',
    'runway_reason', 'track_deg', 'method', 'label_quality', 'known_at', 'last_fix_at',
] -%}

{{ config(
    materialized='rebuilt',
    meta={'time': 'last_fix_at', 'since': 'flight_from_at'},
    indexes=[
        {'columns': ['flight_id']},
        {'columns': ['airport', 'moved_at']},
        {'columns': ['icao24', 'last_fix_at']},
    ]
) }}

with located as (
    select found.*
    from {{ ref('int_movements__located') }} as found
    {{ join_changes('found', 'last_fix_at', since='flight_from_at') }}
    where found.withdrawn_at is null
),

renewed as (
    select found.*
    from {{ ref('int_movements__discontinued_landings') }} as found
    {{ join_changes('found', 'last_fix_at', since='flight_from_at') }}
),

movements as (
    select
        {{ columns | join(',\n        ') }}
    from located
    -- A touch-and-go stands for its landing and its take-off.
    where
        not exists (
            select 1 from renewed
            where located.icao24 = renewed.icao24 and located.movement_id in (renewed.landing_id, renewed.takeoff_id)
        )
    union all
    select
        {{ columns | join(',\n        ') }}
    from renewed
),

ordered as (
    select
        *,
        lag(movement) over (
            partition by icao24, flight_id, movement = 'go_around'
            order by last_fix_at asc, movement desc
        ) as previous_movement
    from movements
),

-- A flight may send its callsign for the first time after it took off: so its movements are made anew with it.
spoken as (
    select
        icao24,
        flight_id,
        callsign,
        sum(position_count) as position_count
    from {{ ref('int_flights__summarized_10min') }}
    {{ join_changes('int_flights__summarized_10min', 'started_at', since='flight_from_at') }}
    group by icao24, flight_id, callsign
),

named as (
    select
        icao24,
        flight_id,
        {{ most_sent_callsign() }} as callsign
    from spoken
    group by icao24, flight_id
)

select
    ordered.{{ columns | join(',\n    ordered.') }},
    {{ operator('named.callsign') }} as airline,
    airframes.typecode
from ordered
left join named on ordered.icao24 = named.icao24 and ordered.flight_id = named.flight_id
left join {{ ref('stg_reference__aircraft') }} as airframes on ordered.icao24 = airframes.icao24
where
    -- An ambiguous one names no field.
    ordered.airport is not null
    -- Who is in the air does not take off: reception that fails in the climb and comes back is none.
    and not (
        ordered.movement = 'takeoff'
        and ordered.method = 'signal_gained'
        and coalesce(ordered.previous_movement in ('takeoff', 'touch_and_go'), false)
    )
