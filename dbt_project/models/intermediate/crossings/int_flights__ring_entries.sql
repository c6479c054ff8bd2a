{{ config(
    materialized='rebuilt',
    meta={'time': 'first_inside_at'},
    indexes=[{'columns': ['icao24', 'first_inside_at']}],
    post_hook='analyze {{ this }}'
) }}

with rings as (
    select ring_nm
    from (values {{ rings_sql() }}) as listed (ring_nm)
),

-- A box around each airport, a tenth larger than the widest ring, spares most of the trigonometry.
boxes as (
    select
        airport,
        latitude_deg,
        longitude_deg,
        (select max(rings.ring_nm) * 1.1 / 60 from rings) as box_deg
    from {{ ref('int_airports__watched') }}
),

fixes as (
    select
        flight_id,
        icao24,
        positioned_at,
        latitude_deg,
        longitude_deg
    from {{ ref('int_positions__phased') }}
    {{ join_changes('int_positions__phased', 'positioned_at') }}
    where position_status = 'fresh'
),

distances as (
    select
        fixes.flight_id,
        fixes.icao24,
        fixes.positioned_at,
        airports.airport,
        {{ distance_m(
            'fixes.latitude_deg',
            'fixes.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }} as distance_m
    from fixes
    inner join boxes as airports
        on
            abs(fixes.latitude_deg - airports.latitude_deg) < airports.box_deg
            -- Brought into [-180, 180], so that both sides of the date line are near each other.
            and abs(
                fixes.longitude_deg - airports.longitude_deg
                - 360 * round((fixes.longitude_deg - airports.longitude_deg) / 360)
            ) * cosd(airports.latitude_deg) < airports.box_deg * 1.2
),

entries as (
    select
        distances.flight_id,
        distances.icao24,
        distances.airport,
        rings.ring_nm,
        min(distances.positioned_at) as first_inside_at
    from distances
    inner join rings on distances.distance_m <= rings.ring_nm * {{ metres_per_nm() }}
    group by distances.flight_id, distances.icao24, distances.airport, rings.ring_nm
)

select
    flight_id,
    icao24,
    airport,
    ring_nm,
    first_inside_at
from entries
