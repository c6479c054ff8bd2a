{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at'},
    indexes=[{'columns': ['icao24', 'positioned_at'], 'unique': true}],
    post_hook=['{{ split_airframes() }}', '{{ judge_altitudes() }}']
) }}

with deduplicated as (
    select distinct on (icao24, time_position)
        -- By bytes: sorts and indexes need no rules of a language. Later models inherit it.
        icao24 collate "C" as icao24,
        {{ state_columns() }},
        {{ changed_from() }} as changed_from_at
    from {{ source('raw', 'opensky_states') }}
    {{ join_changes('opensky_states', 'time_position', since='read_from_at') }}
    order by
        icao24 asc,
        time_position asc,
        {{ fullest_first() }}
),

{{ cleaned_states() }}
