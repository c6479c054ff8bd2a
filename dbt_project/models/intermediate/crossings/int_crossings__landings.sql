{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['crossing_id']}, {'columns': ['crossed_at']}]
) }}

with crossings as (
    select unioned.*
    from {{ ref('int_crossings__unioned') }} as unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
),

-- Each from when it was known and until it was withdrawn. No feature looks back further than six hours.
landings as not materialized (
    select
        'positions' as source,
        movement_id,
        airport,
        moved_at,
        coalesce(heading_true_deg, track_deg) as heading_deg,
        known_at,
        withdrawn_at
    from {{ ref('int_movements__located') }}
    where movement = 'landing' {{ and_since_changed_hours('known_at', '6 hours') }}
    union all
    -- One of the history is known when it happens, and never withdrawn.
    select
        'history' as source,
        uid as movement_id,
        airport,
        landed_at as moved_at,
        -- As the runway is named, that is magnetic and to ten degrees.
        runway_direction::double precision * 10 as heading_deg,
        landed_at as known_at,
        null::timestamptz as withdrawn_at
    from {{ ref('stg_history__arrivals') }}
    where is_innermost {{ and_since_changed_hours('landed_at', '6 hours') }}
),

-- A lateral subquery takes the index on time.
landed as (
    select
        crossings.crossing_id,
        crossings.is_live,
        crossings.crossed_at,
        recent.*
    from crossings
    cross join
        lateral (
            select
                {% for n in [15, 30, 60] -%}
                    count(*) filter (where landings.moved_at > crossings.crossed_at - interval '{{ n }} minutes')
                        as landings_{{ n }}min_count,
                {% endfor -%}
                (
                    array_agg(landings.heading_deg order by landings.moved_at desc, landings.movement_id desc)
                    filter (where landings.heading_deg is not null)
                )[1
                ] as runway_in_use_deg
            from landings
            where
                landings.source = crossings.source
                and landings.airport = crossings.airport
                and landings.known_at <= crossings.crossed_at
                and landings.known_at > crossings.crossed_at - interval '6 hours'
                and (landings.withdrawn_at is null or crossings.crossed_at < landings.withdrawn_at)
        ) as recent
)

select
    crossing_id,
    is_live,
    crossed_at,
    {% for n in [15, 30, 60] -%}
        landings_{{ n }}min_count::integer as landings_{{ n }}min_count,
    {% endfor -%}
    runway_in_use_deg,
    sind(runway_in_use_deg) as runway_in_use_sin,
    cosd(runway_in_use_deg) as runway_in_use_cos
from landed
