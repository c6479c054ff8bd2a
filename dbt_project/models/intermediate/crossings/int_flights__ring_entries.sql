{{ config(
    materialized='rebuilt',
    meta={'time': 'first_inside_at'},
    indexes=[{'columns': ['icao24', 'first_inside_at']}]
) }}

with watched as (
    select
        airport,
        latitude_deg,
        longitude_deg,
        {{ widest_ring_deg() }} as reach_deg,
        cosd(latitude_deg) * cosd(longitude_deg) as x,
        cosd(latitude_deg) * sind(longitude_deg) as y,
        sind(latitude_deg) as z
    from {{ ref('int_airports__watched') }}
),

reaches as (
    select
        *,
        -- How far east and west the widest ring reaches; around a pole, all around.
        case
            when abs(latitude_deg) + reach_deg < 90 then asind(sind(reach_deg) / cosd(latitude_deg))
            else 180
        end as reach_longitude_deg
    from watched
),

-- The tiles of one degree that the widest ring touches: a fix meets the airports of its own by a hash join.
tiled_airports as (
    select
        reaches.airport,
        reaches.x,
        reaches.y,
        reaches.z,
        tile_rows.n * 360 + (tile_columns.n + 720) % 360 as tile
    from reaches
    cross join
        lateral generate_series(
            floor(reaches.latitude_deg - reaches.reach_deg)::integer,
            floor(reaches.latitude_deg + reaches.reach_deg)::integer
        ) as tile_rows (n)
    cross join lateral generate_series(
        floor(reaches.longitude_deg - reaches.reach_longitude_deg)::integer,
        floor(reaches.longitude_deg + reaches.reach_longitude_deg)::integer
    ) as tile_columns (n)
),

-- `offset 0` keeps the planner from taking the sines for each airport and each ring again.
fixes as (
    select
        flight_id,
        icao24,
        positioned_at,
        floor(latitude_deg)::integer * 360 + (floor(longitude_deg)::integer + 720) % 360 as tile,
        cosd(latitude_deg) * cosd(longitude_deg) as x,
        cosd(latitude_deg) * sind(longitude_deg) as y,
        sind(latitude_deg) as z
    from {{ ref('int_positions__phased') }}
    {{ join_changes('int_positions__phased', 'positioned_at') }}
    where position_status = 'fresh'
    offset 0 -- noqa: AM09
),

angles as (
    select
        fixes.flight_id,
        fixes.icao24,
        fixes.positioned_at,
        tiled_airports.airport,
        fixes.x * tiled_airports.x + fixes.y * tiled_airports.y + fixes.z * tiled_airports.z as cosine
    from fixes
    inner join tiled_airports on fixes.tile = tiled_airports.tile
    offset 0 -- noqa: AM09
),

entries as (
    select
        flight_id,
        airport,
        min(icao24) as icao24,
    {%- for ring_nm in var('rings_nm') %}
        min(positioned_at) filter (where cosine >= {{ ring_cosine(ring_nm) }}) as inside_{{ ring_nm }}nm_at
        {{- ',' if not loop.last }}
    {%- endfor %}
    from angles
    -- Not by icao24 as well: of three columns the planner expects so many groups that it sorts.
    group by flight_id, airport
)

select
    entries.flight_id,
    entries.icao24,
    entries.airport,
    rings.ring_nm,
    rings.first_inside_at
from entries
cross join
    lateral (
        values
        {%- for ring_nm in var('rings_nm') %}
            ({{ ring_nm }}, entries.inside_{{ ring_nm }}nm_at){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rings (ring_nm, first_inside_at)
where rings.first_inside_at is not null {{ and_not_entered_before('entries', 'rings') }}
