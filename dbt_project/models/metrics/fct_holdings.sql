{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'started_at'},
    indexes=[{'columns': ['flight_id']}, {'columns': ['icao24', 'started_at']}]
) }}

with pieces as (
    select *
    from {{ ref('int_holdings__turns') }}
    {{ join_changes('int_holdings__turns', 'through_at') }}
),

fixes as not materialized (
    select * from {{ ref('int_positions__sampled_10s') }}
),

sensed as (
    select
        *,
        through_turned_deg > from_turned_deg as is_right
    from pieces
),

-- A turn to the left that follows one to the right is another holding, though they share a fix: added up, the two
-- would be none.
separated as (
    select
        *,
        coalesce(
            from_at > max(through_at) over (
                partition by flight_id, is_right
                order by from_at, through_at
                rows between unbounded preceding and 1 preceding
            ),
            true
        ) as is_first
    from sensed
),

numbered as (
    select
        *,
        count(*) filter (where is_first) over (
            partition by flight_id, is_right
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
        max(through_at) as ended_at,
        -- Not from the first fix to the last: in between it may have turned back for a while.
        greatest(max(from_turned_deg), max(through_turned_deg))
        - least(min(from_turned_deg), min(through_turned_deg)) as turned_deg
    from numbered
    group by flight_id, icao24, is_right, holding_number
),

described as (
    select
        holdings.flight_id,
        holdings.icao24,
        holdings.started_at,
        holdings.ended_at,
        holdings.turned_deg,
        avg(fixes.latitude_deg order by fixes.positioned_at) as latitude_deg,
        -- Counted from the first one, so that the date line does not matter.
        (array_agg(fixes.longitude_deg order by fixes.positioned_at))[1] as first_longitude_deg,
        avg(fixes.altitude_m order by fixes.positioned_at) as altitude_m
    from holdings
    inner join fixes
        on
            holdings.icao24 = fixes.icao24
            and holdings.flight_id = fixes.flight_id
            and fixes.positioned_at between holdings.started_at and holdings.ended_at
    group by
        holdings.flight_id,
        holdings.icao24,
        holdings.started_at,
        holdings.ended_at,
        holdings.turned_deg
),

centred as (
    select
        described.*,
        described.first_longitude_deg + avg(
            fixes.longitude_deg - described.first_longitude_deg
            - 360 * round((fixes.longitude_deg - described.first_longitude_deg) / 360)
            order by fixes.positioned_at
        ) as unwrapped_longitude_deg
    from described
    inner join fixes
        on
            described.icao24 = fixes.icao24
            and described.flight_id = fixes.flight_id
            and fixes.positioned_at between described.started_at and described.ended_at
    group by
        described.flight_id,
        described.icao24,
        described.started_at,
        described.ended_at,
        described.latitude_deg,
        described.first_longitude_deg,
        described.altitude_m,
        described.turned_deg
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
    flight_id || '_holding_' || {{ stamp('started_at') }} as holding_id,
    flight_id,
    icao24,
    airport,
    started_at,
    ended_at,
    extract(epoch from ended_at - started_at)::double precision / 60 as duration_min,
    turned_deg / 360 as turn_count,
    latitude_deg,
    unwrapped_longitude_deg - 360 * round(unwrapped_longitude_deg / 360) as longitude_deg,
    altitude_m
from placed
-- Lower down it is a circuit of the aerodrome, a photo or a glider.
where altitude_m - coalesce(elevation_m, 0) >= 900
