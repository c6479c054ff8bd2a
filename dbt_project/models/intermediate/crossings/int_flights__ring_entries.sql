{{ config(
    materialized='rebuilt',
    meta={'time': 'first_inside_at'},
    indexes=[{'columns': ['icao24', 'first_inside_at']}],
    post_hook='analyze {{ this }}'
) }}

with rings as (
    select
        ring_nm,
        {{ squared_chord('ring_nm * ' ~ metres_per_nm()) }} as squared_chord
    from (values {{ rings_sql() }}) as listed (ring_nm)
),

-- A box around each airport, a tenth larger than the widest ring, spares most of the arithmetic.
boxes as materialized (
    select
        airport,
        latitude_deg,
        longitude_deg,
        cosd(latitude_deg) as longitude_shrinks,
        (select max(rings.ring_nm) * 1.1 / 60 from rings) as box_deg,
        cosd(latitude_deg) * cosd(longitude_deg) as x,
        cosd(latitude_deg) * sind(longitude_deg) as y,
        sind(latitude_deg) as z
    from {{ ref('int_airports__watched') }}
),

fixes as materialized (
    select
        flight_id,
        icao24,
        positioned_at,
        latitude_deg,
        longitude_deg,
        cosd(latitude_deg) * cosd(longitude_deg) as x,
        cosd(latitude_deg) * sind(longitude_deg) as y,
        sind(latitude_deg) as z
    from {{ ref('int_positions__phased') }}
    {{ join_changes('int_positions__phased', 'positioned_at') }}
    where position_status = 'fresh'
),

-- Straight through a sphere of radius 1. Sines are taken once for each fix, not for each fix and airport
-- (hence materialized), which takes a third of the time of distances along it.
chords as (
    select
        fixes.flight_id,
        fixes.icao24,
        fixes.positioned_at,
        airports.airport,
        (fixes.x - airports.x) * (fixes.x - airports.x)
        + (fixes.y - airports.y) * (fixes.y - airports.y)
        + (fixes.z - airports.z) * (fixes.z - airports.z) as squared_chord
    from fixes
    inner join boxes as airports
        on
            abs(fixes.latitude_deg - airports.latitude_deg) < airports.box_deg
            -- Brought into [-180, 180], so that both sides of the date line are near each other.
            and abs(
                fixes.longitude_deg - airports.longitude_deg
                - 360 * round((fixes.longitude_deg - airports.longitude_deg) / 360)
            ) * airports.longitude_shrinks < airports.box_deg * 1.2
),

entries as (
    select
        chords.flight_id,
        min(chords.icao24) as icao24,
        chords.airport,
        rings.ring_nm,
        min(chords.positioned_at) as first_inside_at
    from chords
    inner join rings on chords.squared_chord <= rings.squared_chord
    -- Not by icao24 as well: of four columns the planner expects so many groups that it sorts.
    group by chords.flight_id, chords.airport, rings.ring_nm
)

select
    flight_id,
    icao24,
    airport,
    ring_nm,
    first_inside_at
from entries
