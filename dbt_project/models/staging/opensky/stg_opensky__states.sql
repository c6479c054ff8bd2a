{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at', 'followed_by': 'correct_states'},
    indexes=[{'columns': ['icao24', 'positioned_at'], 'unique': true}],
    post_hook='analyze {{ this }}'
) }}

with deduplicated as (
    select distinct on (icao24, time_position)
        -- By bytes: sorts and indexes need no rules of a language. Later models inherit it.
        icao24 collate "C" as icao24,
        {{ state_columns() }},
        {{ changed_from() }} as changed_from_at
    from {{ source('raw', 'opensky_states') }}
    {{ join_changes('opensky_states', 'time_position', before='2 * ' ~ max_gap()) }}
    order by
        icao24 asc,
        time_position asc,
        {{ fullest_first() }}
),

{{ cleaned_states() }}
