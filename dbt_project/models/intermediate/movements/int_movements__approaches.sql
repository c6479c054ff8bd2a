{{ config(
    materialized='rebuilt',
    meta={'time': 'aligned_from_at', 'since': 'event_from_at'},
    indexes=[{'columns': ['flight_id']}, {'columns': ['icao24', 'aligned_from_at']}]
) }}

with fixes as (
    select
        flight_id,
        icao24,
        positioned_at,
        latitude_deg,
        longitude_deg,
        altitude_m,
        mean_vertical_rate_mps,
        coalesce(
            track_deg,
            {{ bearing_deg(
                'lag(latitude_deg) over by_flight',
                'lag(longitude_deg) over by_flight',
                'latitude_deg',
                'longitude_deg',
            ) }}
        ) as track_deg,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_positions__sampled_10s') }}
    {{ join_changes('int_positions__sampled_10s', 'positioned_at', since='event_read_from_at') }}
    window by_flight as (partition by flight_id order by positioned_at)
),

-- Fields are looked up once per cell of 0.05 degrees, then for each fix among its cell's.
filled_cells as (
    select distinct
        floor(latitude_deg * 20) as cell_row,
        floor(longitude_deg * 20) as cell_column
    from fixes
    -- As high as the highest field allows, below.
    where altitude_m < 1524 + (select max(places.elevation_m) from {{ ref('stg_reference__airports') }} as places)
),

cells as (
    select
        *,
        (cell_row + 0.5) / 20 as latitude_deg,
        (cell_column + 0.5) / 20 as longitude_deg
    from filled_cells
),

-- Half a cell further than a fix may be from its field. Materialized, or each fix would be asked all the same.
airports as materialized (
    select
        cells.cell_row,
        cells.cell_column,
        places.airport,
        places.has_scheduled_service,
        places.latitude_deg,
        places.longitude_deg,
        places.elevation_m
    from cells
    inner join {{ ref('stg_reference__airports') }} as places
        on
            places.latitude_deg between cells.latitude_deg - 0.176 and cells.latitude_deg + 0.176
            and {{ angle_between_deg('cells.longitude_deg', 'places.longitude_deg') }}
            * cosd(places.latitude_deg) < 0.176
),

-- 5,000 ft above the field, as the peer has it; nothing that climbs is on an approach.
descending as (
    select
        fixes.*,
        airports.airport,
        airports.has_scheduled_service,
        fixes.altitude_m - airports.elevation_m as height_m,
        airports.latitude_deg as airport_latitude_deg,
        airports.longitude_deg as airport_longitude_deg
    from fixes
    inner join airports
        on
            floor(fixes.latitude_deg * 20) = airports.cell_row
            and floor(fixes.longitude_deg * 20) = airports.cell_column
            and airports.latitude_deg between fixes.latitude_deg - 0.15 and fixes.latitude_deg + 0.15
            and {{ angle_between_deg('fixes.longitude_deg', 'airports.longitude_deg') }}
            * cosd(airports.latitude_deg) < 0.15
            and fixes.altitude_m - airports.elevation_m < 1524
    where coalesce(fixes.mean_vertical_rate_mps < 1.5, true)
),

runway_ends as (
    select * from {{ ref('stg_reference__runway_ends') }}
),

-- Where the field has no runway data, its reference point is the aim.
aims as (
    select
        descending.*,
        runway_ends.runway,
        runway_ends.runway_direction,
        runway_ends.length_m,
        coalesce(runway_ends.heading_true_deg, descending.track_deg) as heading_true_deg,
        {{ distance_m(
            'descending.latitude_deg',
            'descending.longitude_deg',
            'coalesce(runway_ends.latitude_deg, descending.airport_latitude_deg)',
            'coalesce(runway_ends.longitude_deg, descending.airport_longitude_deg)',
        ) }}
            as aim_m,
        {{ bearing_deg(
            'descending.latitude_deg',
            'descending.longitude_deg',
            'coalesce(runway_ends.latitude_deg, descending.airport_latitude_deg)',
            'coalesce(runway_ends.longitude_deg, descending.airport_longitude_deg)',
        ) }}
            as aim_deg
    from descending
    left join runway_ends on descending.airport = runway_ends.airport
),

measured as (
    select
        *,
        aim_m * cosd(aim_deg - heading_true_deg) as before_m,
        abs(aim_m * sind(aim_deg - heading_true_deg)) as beside_m
    from aims
    where {{ angle_between_deg('track_deg', 'heading_true_deg') }} < 20
),

-- The limits of int_movements__located.
aligned as (
    select distinct on (flight_id, positioned_at)
        flight_id,
        icao24,
        positioned_at,
        airport,
        runway,
        runway_direction,
        track_deg,
        altitude_m,
        height_m,
        before_m,
        kept_from_at
    from measured
    where
        before_m between -coalesce(length_m, 0) and 12000
        and beside_m < case when runway is null then 2500 else 150 + 0.03 * abs(before_m) end
    order by
        flight_id asc,
        positioned_at asc,
        (runway is null) asc,
        beside_m + abs(before_m) / 10 + case when has_scheduled_service then 0 else 4000 end asc,
        airport asc,
        runway asc
),

-- Another runway of the field is the same approach: a side-step. Going outbound once more is another one.
steps as (
    select
        *,
        coalesce(
            positioned_at - lag(positioned_at) over by_field > interval '{{ var("silence_s") }} seconds'
            or before_m > lag(before_m) over by_field + 2000,
            true
        ) as is_first
    from aligned
    window by_field as (partition by flight_id, airport order by positioned_at)
),

numbered as (
    select
        *,
        count(*) filter (where is_first) over (
            partition by flight_id, airport
            order by positioned_at
        ) as approach_number
    from steps
),

approaches as (
    select
        flight_id,
        icao24,
        airport,
        approach_number,
        min(positioned_at) as aligned_from_at,
        max(positioned_at) as aligned_through_at,
        (array_agg(positioned_at order by altitude_m asc, positioned_at desc))[1] as lowest_at,
        (array_agg(runway order by altitude_m asc, positioned_at desc))[1] as runway,
        (array_agg(runway_direction order by altitude_m asc, positioned_at desc))[1] as runway_direction,
        (array_agg(track_deg order by altitude_m asc, positioned_at desc))[1] as track_deg,
        min(altitude_m) as lowest_altitude_m,
        min(height_m) as height_m
    from numbered
    group by flight_id, icao24, airport, approach_number
    having
        min(positioned_at) >= min(kept_from_at)
        and max(positioned_at) - min(positioned_at) >= interval '{{ var("approach_s") }} seconds'
        -- As much before the runway as it takes to tell an approach from a turn over the field.
        and max(before_m) - min(before_m) > 1000
        and max(before_m) > 500
        -- As low as a landing whose reception ends.
        and min(height_m) < 750
)

select
    flight_id || '_' || airport || '_' || {{ stamp('aligned_from_at') }} as approach_id,
    flight_id,
    icao24,
    airport,
    aligned_from_at,
    aligned_from_at + interval '{{ var("approach_s") }} seconds' as known_at,
    aligned_through_at,
    lowest_at,
    coalesce(runway_direction, {{ track_direction('track_deg') }}) as runway_direction,
    runway,
    track_deg,
    lowest_altitude_m,
    height_m
from approaches
