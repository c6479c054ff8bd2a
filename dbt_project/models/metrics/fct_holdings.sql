{{ config(
    materialized='rebuilt',
    meta={'time': 'started_at'},
    indexes=[{'columns': ['flight_id']}, {'columns': ['icao24', 'started_at']}],
    post_hook='analyze {{ this }}'
) }}

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
        ) }} as course_deg
    from {{ ref('int_positions__sampled_10s') }}
    {{ join_changes('int_positions__sampled_10s', 'positioned_at') }}
    window by_flight as (partition by flight_id order by positioned_at)
),

-- The way made good, for reported tracks go stale; at 3 degrees a second 40 s are the longest step
-- that shows which way a turn went. What hardly moves has no course.
turns as (
    select
        *,
        case
            when
                step_s <= 40
                and lag(step_s) over by_flight <= 40
                and least(step_m, lag(step_m) over by_flight) >= 200
                then
                    course_deg - lag(course_deg) over by_flight
                    - 360 * round((course_deg - lag(course_deg) over by_flight) / 360)
            else 0
        end as turn_deg
    from fixes
    window by_flight as (partition by flight_id order by positioned_at)
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
    select
        ends.flight_id,
        ends.icao24,
        ends.positioned_at as through_at,
        max(begins.positioned_at) as from_at
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
    group by ends.flight_id, ends.icao24, ends.positioned_at
),

separated as (
    select
        *,
        coalesce(
            from_at > max(through_at) over (
                partition by flight_id
                order by from_at, through_at
                rows between unbounded preceding and 1 preceding
            ),
            true
        ) as is_first
    from pieces
),

numbered as (
    select
        *,
        count(*) filter (where is_first) over (
            partition by flight_id
            order by from_at, through_at
        ) as holding_number
    from separated
),

holdings as (
    select
        flight_id,
        icao24,
        holding_number,
        min(from_at) as started_at,
        max(through_at) as ended_at
    from numbered
    group by flight_id, icao24, holding_number
),

described as (
    select
        holdings.flight_id,
        holdings.icao24,
        holdings.started_at,
        holdings.ended_at,
        avg(totals.latitude_deg order by totals.positioned_at) as latitude_deg,
        -- Counted from the first one, so that the date line does not matter.
        (array_agg(totals.longitude_deg order by totals.positioned_at))[1] as first_longitude_deg,
        avg(totals.altitude_m order by totals.positioned_at) as altitude_m,
        (array_agg(totals.turned_deg order by totals.positioned_at))[1] as first_turned_deg,
        (array_agg(totals.turned_deg order by totals.positioned_at desc))[1] as last_turned_deg
    from holdings
    inner join totals
        on
            holdings.flight_id = totals.flight_id
            and totals.positioned_at between holdings.started_at and holdings.ended_at
    group by holdings.flight_id, holdings.icao24, holdings.started_at, holdings.ended_at
),

centred as (
    select
        described.*,
        described.first_longitude_deg + avg(
            totals.longitude_deg - described.first_longitude_deg
            - 360 * round((totals.longitude_deg - described.first_longitude_deg) / 360)
            order by totals.positioned_at
        ) as unwrapped_longitude_deg
    from described
    inner join totals
        on
            described.flight_id = totals.flight_id
            and totals.positioned_at between described.started_at and described.ended_at
    group by
        described.flight_id,
        described.icao24,
        described.started_at,
        described.ended_at,
        described.latitude_deg,
        described.first_longitude_deg,
        described.altitude_m,
        described.first_turned_deg,
        described.last_turned_deg
),

placed as (
    select
        centred.*,
        near.airport,
        near.elevation_m
    from centred
    left join lateral (
        select
            airports.airport,
            airports.elevation_m,
            {{ distance_m(
                'centred.latitude_deg',
                'centred.unwrapped_longitude_deg',
                'airports.latitude_deg',
                'airports.longitude_deg',
            ) }} as distance_m
        from {{ ref('stg_reference__airports') }} as airports
        where
            airports.latitude_deg between centred.latitude_deg - 0.7 and centred.latitude_deg + 0.7
            and airports.has_scheduled_service
        order by distance_m, airports.airport
        limit 1
    ) as near on near.distance_m < 40 * {{ metres_per_nm() }}
)

select
    flight_id || '_holding_' || to_char(started_at at time zone 'UTC', 'HH24MISS') as holding_id,
    flight_id,
    icao24,
    airport,
    started_at,
    ended_at,
    extract(epoch from ended_at - started_at)::double precision / 60 as duration_min,
    abs(last_turned_deg - first_turned_deg) / 360 as turn_count,
    latitude_deg,
    unwrapped_longitude_deg - 360 * round(unwrapped_longitude_deg / 360) as longitude_deg,
    altitude_m
from placed
-- Lower down it is a circuit of the aerodrome, a photo or a glider.
where altitude_m - coalesce(elevation_m, 0) >= 900
