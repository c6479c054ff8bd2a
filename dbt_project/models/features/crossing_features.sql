{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['flight_id']}, {'columns': ['crossed_at']}],
    post_hook='analyze {{ this }}'
) }}

with crossings as (
    select *
    from {{ ref('fct_ring_crossings') }}
    {{ join_changed_hours('fct_ring_crossings', 'crossed_at', with_aftermath=true) }}
),

airports as (
    select * from {{ ref('int_airports__watched') }}
),

-- No feature looks back further than six hours.
landings as not materialized (
    select
        *,
        coalesce(heading_true_deg, track_deg) as heading_deg
    from {{ ref('int_movements__located') }}
    where movement = 'landing' {{ and_since_changed_hours('known_at', '6 hours') }}
),

arrivals as not materialized (
    select * from {{ ref('int_arrivals__paired') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

entered as not materialized (
    select * from {{ ref('fct_ring_crossings') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

go_arounds as (
    select * from {{ ref('int_movements__renewed') }}
    where movement = 'go_around' {{ and_since_changed_hours('known_at', '6 hours') }}
),

-- Where every other aircraft was in the half minute before the crossing.
others as (
    select
        crossings.crossing_id,
        positions.flight_id,
        positions.positioned_at,
        positions.altitude_m - airports.elevation_m as height_m,
        positions.mean_vertical_rate_mps,
        positions.track_deg,
        crossings.ring_nm,
        {{ distance_m(
            'positions.latitude_deg',
            'positions.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as distance_m,
        {{ bearing_deg(
            'positions.latitude_deg',
            'positions.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as to_airport_deg
    from crossings
    inner join airports on crossings.airport = airports.airport
    -- `offset 0` keeps the planner from turning the half minute into a loop over all positions, which
    -- on 7.6 million of them had not ended after four minutes.
    cross join
        lateral (
            select sampled.*
            from {{ ref('int_positions__sampled_10s') }} as sampled
            where
                sampled.positioned_at > crossings.crossed_at - interval '30 seconds'
                and crossings.crossed_at >= sampled.positioned_at
                and crossings.flight_id <> sampled.flight_id
            offset 0 -- noqa: AM09
        ) as positions
),

inside_now as (
    select
        crossing_id,
        count(distinct flight_id) as inbound_inside_count
    from others
    where
        distance_m <= ring_nm * {{ metres_per_nm() }}
        and {{ is_inbound(
            angle_between_deg('track_deg', 'to_airport_deg'),
            'mean_vertical_rate_mps',
            'height_m',
            'distance_m / ' ~ metres_per_nm(),
        ) }}
    group by crossing_id
),

gone_around as (
    select
        crossings.crossing_id,
        count(*) as go_arounds_30min_count
    from crossings
    inner join go_arounds
        on
            crossings.airport = go_arounds.airport
            and crossings.crossed_at >= go_arounds.known_at
            and go_arounds.known_at > crossings.crossed_at - interval '30 minutes'
    group by crossings.crossing_id
),

observed as (
    select
        crossings.crossing_id,
        coalesce(inside_now.inbound_inside_count, 0)::integer as inbound_inside_count,
        coalesce(gone_around.go_arounds_30min_count, 0)::integer as go_arounds_30min_count
    from crossings
    left join inside_now on crossings.crossing_id = inside_now.crossing_id
    left join gone_around on crossings.crossing_id = gone_around.crossing_id
),

{{ crossing_features('positions') }}
