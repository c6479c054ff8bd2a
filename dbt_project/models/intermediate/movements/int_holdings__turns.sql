{{ config(
    materialized='rebuilt',
    meta={'time': 'through_at'},
    indexes=[{'columns': ['through_at']}, {'columns': ['icao24', 'through_at']}]
) }}

{#- A holding's time, and the steps before that its first turn is measured from. -#}
{%- set turn_look_back = "interval '" ~ var('holding_s') ~ " seconds' - interval '90 seconds'" -%}

with fixes as (
    select
        flight_id,
        icao24,
        positioned_at,
        latitude_deg,
        longitude_deg,
        altitude_m,
        extract(epoch from positioned_at - lag(positioned_at) over by_flight)::double precision as step_s,
        {{ distance_m(
            'lag(latitude_deg) over by_flight',
            'lag(longitude_deg) over by_flight',
            'latitude_deg',
            'longitude_deg',
        ) }} as step_m,
        {{ bearing_deg(
            'lag(latitude_deg) over by_flight',
            'lag(longitude_deg) over by_flight',
            'latitude_deg',
            'longitude_deg',
        ) }} as course_deg,
        {{ changed_from() }} as kept_from_at
    from {{ ref('int_positions__sampled_10s') }}
    {{ join_changes('int_positions__sampled_10s', 'positioned_at', before=turn_look_back) }}
    window by_flight as (partition by flight_id order by positioned_at)
),

bends as (
    select
        *,
        {{ bend_deg() }} as bend_deg,
        (step_s + lag(step_s) over by_flight) / 2 as bend_s
    from fixes
    window by_flight as (partition by flight_id order by positioned_at)
),

turns as (
    select
        *,
        {{ turn_deg() }} as turn_deg
    from bends
),

totals as (
    select
        *,
        sum(turn_deg) over so_far as turned_deg,
        sum(case when step_s is null then 0 else step_m end) over so_far as flown_m
    from turns
    window so_far as (partition by flight_id order by positioned_at)
),

ranged as (
    select
        *,
        max(turned_deg) over recent - min(turned_deg) over recent as range_deg
    from totals
    window recent as (
        partition by flight_id
        order by positioned_at
        range between interval '{{ var("holding_s") }} seconds' preceding and current row
    )
),

-- The shortest piece up to each fix that is a holding by itself.
pieces as (
    select distinct on (ends.flight_id, ends.positioned_at)
        ends.flight_id,
        ends.icao24,
        begins.positioned_at as from_at,
        ends.positioned_at as through_at,
        begins.turned_deg as from_turned_deg,
        ends.turned_deg as through_turned_deg,
        ends.latitude_deg,
        ends.longitude_deg,
        ends.altitude_m,
        ends.kept_from_at
    from ranged as ends
    inner join totals as begins
        on
            ends.flight_id = begins.flight_id
            and begins.positioned_at >= ends.positioned_at - interval '{{ var("holding_s") }} seconds'
            and ends.positioned_at > begins.positioned_at
    where
        ends.range_deg >= 360
        and abs(ends.turned_deg - begins.turned_deg) >= 360
        -- Level: one level of the stack may be left for the next one.
        and abs(ends.altitude_m - begins.altitude_m) <= 350
        and ends.flown_m - begins.flown_m
        >= 45 * extract(epoch from ends.positioned_at - begins.positioned_at)
        and {{ distance_m(
            'begins.latitude_deg',
            'begins.longitude_deg',
            'ends.latitude_deg',
            'ends.longitude_deg',
        ) }} < 10 * {{ metres_per_nm() }}
    order by ends.flight_id asc, ends.positioned_at asc, begins.positioned_at desc
)

select
    flight_id,
    icao24,
    from_at,
    through_at,
    from_turned_deg,
    through_turned_deg,
    latitude_deg,
    longitude_deg,
    altitude_m
from pieces
where through_at >= kept_from_at
