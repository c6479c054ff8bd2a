{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at'},
    indexes=[{'columns': ['icao24', 'positioned_at'], 'unique': true}]
) }}

with flights as (
    select
        segmented.*,
        {{ carried_top_m('segmented') }} as carried_top_m, -- noqa: ST05
        {{ changed_from() }} as changed_from_at
    from {{ ref('int_flights__segmented') }} as segmented
    {{ join_changes('segmented', 'flight_started_at', since='flight_from_at') }}
    where segmented.flight_ended_at >= {{ changed_from() }}
),

-- The nearest field is looked up once per cell of 0.05 degrees, not per position: on the Paris
-- recording that is 1,600 look-ups instead of 284,000.
filled_cells as (
    select distinct
        floor(latitude_deg * 20)::integer as cell_row,
        floor(longitude_deg * 20)::integer as cell_column
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at') }}
),

cells as (
    select
        *,
        (cell_row + 0.5) / 20 as latitude_deg,
        (cell_column + 0.5) / 20 as longitude_deg
    from filled_cells
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
        tiled_airports.latitude_deg,
        tiled_airports.longitude_deg,
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
            -- 30 NM are less than half a degree: it spares two of three distances.
            and abs(tiled_cells.latitude_deg - tiled_airports.latitude_deg) < 0.5
),

nearest as (
    select distinct on (cell_row, cell_column)
        cell_row,
        cell_column,
        airport,
        latitude_deg,
        longitude_deg,
        elevation_m
    from distances
    where distance_m < 30 * {{ metres_per_nm() }}
    order by cell_row, cell_column, distance_m, airport
),

-- Flight by flight, for within one the index has the positions in the order of time: all at once they would be sorted.
flown as (
    select
        flights.flight_id,
        flights.icao24,
        smoothed.*
    from flights
    cross join
        lateral ( -- noqa: ST05
            with positions as (
                select
                    states.positioned_at,
                    states.callsign,
                    states.latitude_deg,
                    states.longitude_deg,
                    states.altitude_m,
                    states.ground_speed_mps,
                    states.track_deg,
                    states.vertical_rate_mps,
                    states.is_on_ground,
                    states.has_ground_flag,
                    states.category,
                    states.position_status,
                    states.position_age_s,
                    states.masked_altitude_m,
                    states.masked_ground_speed_mps,
                    states.masked_vertical_rate_mps,
                    -- Whole numbers leave a moving sum as exactly as they came: fractions would be added up anew for
                    -- each row.
                    round(states.altitude_m * 100)::integer as altitude_cm,
                    round(states.vertical_rate_mps * 100000)::integer as rate_e5,
                    (date_part('epoch', states.positioned_at - flights.flight_started_at) * 1000)::bigint as flown_ms
                from {{ ref('stg_opensky__states') }} as states
                where
                    states.icao24 = flights.icao24
                    and states.positioned_at between flights.flight_started_at and flights.flight_ended_at
                    -- The longest window.
                    and states.positioned_at >= flights.changed_from_at - interval '20 seconds'
            ),

            summed as (
                select
                    *,
                    sum(altitude_cm) over recent as altitudes_cm,
                    count(altitude_cm) over recent as altitude_count,
                    sum(flown_ms) filter (where altitude_cm is not null) over recent as altitudes_ms,
                    sum(rate_e5) over latest as rates_e5,
                    count(rate_e5) over latest as rate_count
                from positions
                window
                    recent as (
                        order by positioned_at
                        range between interval '20 seconds' preceding and current row
                    ),
                    latest as (
                        order by positioned_at
                        range between interval '10 seconds' preceding and current row
                    )
            ),

            averaged as (
                select
                    *,
                    altitudes_cm / (100.0::double precision * nullif(altitude_count, 0)) as mean_altitude_m,
                    rates_e5 / (100000.0::double precision * nullif(rate_count, 0)) as sent_vertical_rate_mps
                from summed
            )

            select
                *,
                coalesce(
                    sent_vertical_rate_mps,
                    -- Some transponders send no velocity at all: then the slope of the altitude stands in, taken
                    -- from the means of the window, which is exact for a steady climb.
                    (altitude_m - mean_altitude_m)
                    / nullif((flown_ms - altitudes_ms::double precision / nullif(altitude_count, 0)) / 1000, 0)
                ) as mean_vertical_rate_mps,
                coalesce(altitude_m, mean_altitude_m) as known_altitude_m,
                greatest(
                    carried_top_m,
                    max(case when positioned_at >= changed_from_at then mean_altitude_m end)
                        over (order by positioned_at rows unbounded preceding)
                ) as top_m
            from averaged
        ) as smoothed
    where smoothed.positioned_at >= flights.changed_from_at
),

located as (
    select
        flown.*,
        nearest.airport as nearest_airport,
        nearest.latitude_deg as airport_latitude_deg,
        nearest.longitude_deg as airport_longitude_deg,
        flown.known_altitude_m - coalesce(nearest.elevation_m, 0) as height_m,
        -- Rotorcraft (8) fly as slowly as others taxi.
        case when flown.category = 8 then 5 else 25 end as slow_mps,
        -- Where a flag and a height contradict each other and no speed is sent: from the fix before.
        case
            when
                flown.is_on_ground
                and flown.ground_speed_mps is null
                and flown.known_altitude_m - coalesce(nearest.elevation_m, 0) > 1000
                then ( -- noqa: ST05
                    select
                        {{ distance_m(
                            'earlier.latitude_deg',
                            'earlier.longitude_deg',
                            'flown.latitude_deg',
                            'flown.longitude_deg',
                        ) }}
                        / date_part('epoch', flown.positioned_at - earlier.positioned_at)
                    from {{ ref('stg_opensky__states') }} as earlier
                    where
                        earlier.icao24 = flown.icao24
                        and earlier.positioned_at < flown.positioned_at
                        and earlier.positioned_at >= flown.positioned_at - {{ max_gap() }}
                    order by earlier.positioned_at desc
                    limit 1
                )
        end as made_good_mps
    from flown
    left join nearest
        on
            floor(flown.latitude_deg * 20)::integer = nearest.cell_row
            and floor(flown.longitude_deg * 20)::integer = nearest.cell_column
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
    top_m,
    is_on_ground,
    nearest_airport,
    position_status,
    position_age_s,
    masked_altitude_m,
    masked_ground_speed_mps,
    masked_vertical_rate_mps,
    case
        when position_age_s > 60 then 'UNKNOWN'
        -- A ground flag is a single bit: not where height and speed, or speed alone, say that it flies. An altitude
        -- alone does not: one of 2,900 m was sent for half a minute on a runway.
        when
            is_on_ground
            and coalesce(
                case
                    when height_m > 1000 then coalesce(ground_speed_mps, made_good_mps) < 50
                    when height_m > 300 then ground_speed_mps < 100
                    else ground_speed_mps < 120
                end,
                true
            )
            then 'GROUND'
        when height_m is null then 'UNKNOWN'
        -- The flag can come a minute late, after the turn off the runway. At 960 hPa a field seems 440 m higher than it
        -- is: where no flag is sent, height tells little.
        when
            ground_speed_mps < slow_mps
            and coalesce(abs(mean_vertical_rate_mps) < 1, true)
            and (
                height_m < 60
                or (
                    not has_ground_flag
                    and height_m < 500
                    and {{ distance_m(
                        'latitude_deg',
                        'longitude_deg',
                        'airport_latitude_deg',
                        'airport_longitude_deg',
                    ) }}
                    < 4000
                )
            )
            then 'GROUND'
        when height_m < 450 and mean_vertical_rate_mps > 1.5 then 'TAKEOFF'
        when height_m < 450 and mean_vertical_rate_mps < -1 then 'LANDING'
        when mean_vertical_rate_mps > 1.5 then 'CLIMB'
        when height_m < 1000 and mean_vertical_rate_mps < -1 then 'APPROACH'
        when mean_vertical_rate_mps < -1.5 then 'DESCENT'
        when mean_vertical_rate_mps is null then 'UNKNOWN'
        when height_m > 6000 or (height_m > 3000 and mean_altitude_m - top_m > -150) then 'CRUISE'
        else 'LEVEL'
    end as phase
from located
