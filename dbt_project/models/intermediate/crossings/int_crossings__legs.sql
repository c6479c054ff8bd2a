{%- set rings_nm = var('rings_nm') | sort -%}

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

entered as not materialized (
    select * from {{ ref('int_crossings__unioned') }}
    where not is_live {{ and_since_changed_hours('known_at', '6 hours') }}
),

-- The way in since the same flight crossed the rings further out.
ways as (
    select
        crossings.crossing_id,
        crossings.is_live,
        outside.ring_nm as from_ring_nm,
        outside.ring_nm = case crossings.ring_nm
            {% for ring_nm in rings_nm[:-1] -%}
                when {{ ring_nm }} then {{ rings_nm[loop.index] }}
            {% endfor -%}
        end as is_near,
        extract(epoch from crossings.crossed_at - outside.crossed_at)::double precision as way_s,
        crossings.altitude_m - outside.altitude_m as climb_m,
        {{ distance_m(
            'outside.latitude_deg',
            'outside.longitude_deg',
            'crossings.latitude_deg',
            'crossings.longitude_deg',
        ) }}
            as way_m
    from crossings
    inner join entered as outside
        on
            crossings.flight_id = outside.flight_id
            and crossings.source = outside.source
            and crossings.airport = outside.airport
            and crossings.ring_nm < outside.ring_nm
            and crossings.crossed_at > outside.crossed_at
            and crossings.crossed_at >= outside.known_at
            and outside.known_at > crossings.crossed_at - interval '6 hours'
),

legs as (
    select
        crossing_id,
        is_live,
        max(way_s) filter (where from_ring_nm = {{ rings_nm[-1] }}) / 60 as outer_leg_min,
        max(way_m / way_s) filter (where from_ring_nm = {{ rings_nm[-1] }}) as outer_leg_mps,
        max(way_m / way_s) filter (where is_near) as near_leg_mps,
        max(climb_m / way_s) filter (where is_near) as near_leg_climb_mps
    from ways
    group by crossing_id, is_live
)

select
    crossings.crossing_id,
    crossings.is_live,
    crossings.crossed_at,
    legs.outer_leg_min,
    legs.outer_leg_mps,
    legs.near_leg_mps,
    legs.near_leg_climb_mps
from crossings
left join legs
    on
        crossings.crossing_id = legs.crossing_id
        and crossings.is_live = legs.is_live
