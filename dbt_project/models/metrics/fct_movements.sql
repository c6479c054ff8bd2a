{%- set columns = [
    'movement_id', 'flight_id', 'icao24', 'airport', 'movement', 'moved_at', 'runway_direction', 'runway',
    'runway_reason', 'track_deg', 'method', 'label_quality', 'known_at', 'last_fix_at',
] -%}

{{ config(
    materialized='rebuilt',
    meta={'time': 'last_fix_at', 'since': 'event_from_at'},
    indexes=[
        {'columns': ['flight_id']},
        {'columns': ['airport', 'moved_at']},
        {'columns': ['icao24', 'last_fix_at']},
    ]
) }}

with located as (
    select
        found.*,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_movements__located') }} as found
    {{ join_changes('found', 'last_fix_at', since='flight_from_at') }}
    where found.withdrawn_at is null
),

renewed as (
    select
        found.*,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_movements__discontinued_landings') }} as found
    {{ join_changes('found', 'last_fix_at', since='flight_from_at') }}
),

movements as (
    select
        {{ columns | join(',\n        ') }},
        kept_from_at
    from located
    -- A touch-and-go stands for its landing and its take-off.
    where
        not exists (
            select 1 from renewed
            where located.icao24 = renewed.icao24 and located.movement_id in (renewed.landing_id, renewed.takeoff_id)
        )
    union all
    select
        {{ columns | join(',\n        ') }},
        kept_from_at
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
)

select
    {{ columns | join(',\n    ') }}
from ordered
where
    last_fix_at >= kept_from_at
    -- An ambiguous one names no field.
    and airport is not null
    -- Who is in the air does not take off: reception that fails in the climb and comes back is none.
    and not (
        movement = 'takeoff'
        and method = 'signal_gained'
        and coalesce(previous_movement in ('takeoff', 'touch_and_go'), false)
    )
