{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at'},
    indexes=[
        {'columns': ['flight_id', 'positioned_at'], 'unique': true},
        {'columns': ['icao24', 'positioned_at']},
        {'columns': ['positioned_at']},
    ],
    post_hook='analyze {{ this }}'
) }}

with positions as (
    select
        flight_id,
        icao24,
        positioned_at,
        callsign,
        latitude_deg,
        longitude_deg,
        altitude_m,
        ground_speed_mps,
        track_deg,
        vertical_rate_mps,
        is_on_ground,
        position_status,
        position_age_s,
        floor(latitude_deg * 20)::integer as cell_row,
        floor(longitude_deg * 20)::integer as cell_column
    from {{ ref('int_flights__segmented') }}
    {{ join_changes('int_flights__segmented', 'positioned_at') }}
),

-- The nearest field is looked up once per cell of 0.05 degrees, not per position: on the Paris
-- recording that is 1,600 look-ups instead of 284,000.
cells as (
    select distinct
        cell_row,
        cell_column,
        (cell_row + 0.5) / 20 as latitude_deg,
        (cell_column + 0.5) / 20 as longitude_deg
    from positions
),

-- A cell meets the fields of its own and the eight neighbouring tiles of one degree, by a hash join:
-- with a range of latitudes 30,000 cells all over the world took 3.5 s.
tiled_cells as (
    select
        cells.*,
        floor(cells.latitude_deg)::integer + rows_off.n as tile_row,
        -- Tiles are counted eastwards from the date line, which has neighbours on both sides.
        (floor(cells.longitude_deg)::integer + 540 + columns_off.n) % 360 as tile_column
    from cells
    cross join (values (-1), (0), (1)) as rows_off (n)
    cross join (values (-1), (0), (1)) as columns_off (n)
),

tiled_airports as (
    select
        airport,
        latitude_deg,
        longitude_deg,
        elevation_m,
        floor(latitude_deg)::integer as tile_row,
        (floor(longitude_deg)::integer + 540) % 360 as tile_column
    from {{ ref('stg_reference__airports') }}
),

distances as (
    select
        tiled_cells.cell_row,
        tiled_cells.cell_column,
        tiled_airports.airport,
        tiled_airports.elevation_m,
        {{ distance_m(
            'tiled_cells.latitude_deg',
            'tiled_cells.longitude_deg',
            'tiled_airports.latitude_deg',
            'tiled_airports.longitude_deg',
        ) }} as distance_m
    from tiled_cells
    inner join tiled_airports
        on
            tiled_cells.tile_row = tiled_airports.tile_row
            and tiled_cells.tile_column = tiled_airports.tile_column
),

nearest as (
    select distinct on (cell_row, cell_column)
        cell_row,
        cell_column,
        airport,
        elevation_m
    from distances
    where distance_m < 30 * {{ metres_per_nm() }}
    order by cell_row, cell_column, distance_m, airport
),

smoothed as (
    select
        positions.*,
        nearest.airport as nearest_airport,
        coalesce(
            avg(positions.vertical_rate_mps) over latest,
            -- Some transponders send no velocity at all: then the slope of the altitude stands in, taken
            -- from the means of the window, which is exact for a steady climb.
            (positions.altitude_m - avg(positions.altitude_m) over recent)
            / nullif(
                extract(epoch from positions.positioned_at)
                - avg(extract(epoch from positions.positioned_at)) filter (where positions.altitude_m is not null)
                    over recent,
                0
            )
        ) as mean_vertical_rate_mps,
        coalesce(positions.altitude_m, avg(positions.altitude_m) over recent)
        - coalesce(nearest.elevation_m, 0) as height_m,
        avg(positions.altitude_m) over recent as mean_altitude_m
    from positions
    left join nearest
        on
            positions.cell_row = nearest.cell_row
            and positions.cell_column = nearest.cell_column
    window
        recent as (
            partition by positions.flight_id
            order by positions.positioned_at
            range between interval '20 seconds' preceding and current row
        ),
        latest as (
            partition by positions.flight_id
            order by positions.positioned_at
            range between interval '10 seconds' preceding and current row
        )
),

topped as (
    select
        *,
        mean_altitude_m - max(mean_altitude_m) over (partition by flight_id order by positioned_at) as from_top_m
    from smoothed
)

select
    flight_id,
    icao24,
    positioned_at,
    callsign,
    latitude_deg,
    longitude_deg,
    altitude_m,
    height_m,
    ground_speed_mps,
    track_deg,
    vertical_rate_mps,
    mean_vertical_rate_mps,
    is_on_ground,
    nearest_airport,
    position_status,
    position_age_s,
    case
        when position_age_s > 60 then 'UNKNOWN'
        when is_on_ground then 'GROUND'
        when height_m is null then 'UNKNOWN'
        -- The flag can come a minute late, after the turn off the runway.
        when height_m < 60 and ground_speed_mps < 25 and abs(mean_vertical_rate_mps) < 1 then 'GROUND'
        when height_m < 450 and mean_vertical_rate_mps > 1.5 then 'TAKEOFF'
        when height_m < 450 and mean_vertical_rate_mps < -1 then 'LANDING'
        when mean_vertical_rate_mps > 1.5 then 'CLIMB'
        when height_m < 1000 and mean_vertical_rate_mps < -1 then 'APPROACH'
        when mean_vertical_rate_mps < -1.5 then 'DESCENT'
        when mean_vertical_rate_mps is null then 'UNKNOWN'
        when height_m > 6000 or (height_m > 3000 and from_top_m > -150) then 'CRUISE'
        else 'LEVEL'
    end as phase
from topped
