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
landings as (
    select * from {{ ref('int_movements__located') }}
    where movement = 'landing' {{ and_since_changed_hours('known_at', '6 hours') }}
),

arrivals as (
    select * from {{ ref('int_arrivals__paired') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

entered as (
    select * from {{ ref('fct_ring_crossings') }}
    where is_inbound {{ and_since_changed_hours('known_at', '6 hours') }}
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

entries as (
    select
        crossings.crossing_id,
        count(*) filter (where earlier.crossed_at > crossings.crossed_at - interval '15 minutes')
            as entries_15min_count,
        count(*) filter (where earlier.crossed_at > crossings.crossed_at - interval '30 minutes')
            as entries_30min_count,
        count(*) as entries_60min_count,
        extract(epoch from crossings.crossed_at - max(earlier.crossed_at))::double precision / 60 as predecessor_age_min
    from crossings
    inner join entered as earlier
        on
            crossings.airport = earlier.airport
            and crossings.ring_nm = earlier.ring_nm
            and crossings.crossed_at >= earlier.known_at
            and earlier.crossed_at > crossings.crossed_at - interval '60 minutes'
            and crossings.flight_id <> earlier.flight_id
    group by crossings.crossing_id, crossings.crossed_at
),

landing_counts as (
    select
        crossings.crossing_id,
        count(*) filter (where landings.moved_at > crossings.crossed_at - interval '15 minutes')
            as landings_15min_count,
        count(*) filter (where landings.moved_at > crossings.crossed_at - interval '30 minutes')
            as landings_30min_count,
        count(*) as landings_60min_count
    from crossings
    inner join landings
        on
            crossings.airport = landings.airport
            and crossings.crossed_at >= landings.known_at
            and landings.moved_at > crossings.crossed_at - interval '60 minutes'
            and (landings.withdrawn_at is null or crossings.crossed_at < landings.withdrawn_at)
    group by crossings.crossing_id
),

-- What was last seen to land looks back six hours: longer says nothing about now.
last_landings as (
    select distinct on (crossings.crossing_id)
        crossings.crossing_id,
        coalesce(landings.heading_true_deg, landings.track_deg) as runway_in_use_deg
    from crossings
    inner join landings
        on
            crossings.airport = landings.airport
            and crossings.crossed_at >= landings.known_at
            and landings.known_at > crossings.crossed_at - interval '6 hours'
            and (landings.withdrawn_at is null or crossings.crossed_at < landings.withdrawn_at)
    order by crossings.crossing_id asc, landings.moved_at desc, landings.movement_id desc
),

known_arrivals as (
    select
        crossings.crossing_id,
        crossings.crossed_at,
        crossings.sector = arrivals.sector as is_same_sector,
        arrivals.landed_at,
        arrivals.transit_min,
        row_number() over (
            partition by crossings.crossing_id
            order by arrivals.landed_at desc, arrivals.movement_id desc
        ) as recency,
        row_number() over (
            partition by crossings.crossing_id, crossings.sector = arrivals.sector
            order by arrivals.landed_at desc, arrivals.movement_id desc
        ) as sector_recency
    from crossings
    inner join arrivals
        on
            crossings.airport = arrivals.airport
            and crossings.ring_nm = arrivals.ring_nm
            and crossings.crossed_at >= arrivals.known_at
            and arrivals.known_at > crossings.crossed_at - interval '6 hours'
            and (arrivals.withdrawn_at is null or crossings.crossed_at < arrivals.withdrawn_at)
),

transits as (
    select
        crossing_id,
        max(transit_min) filter (where recency = 1) as last_transit_min,
        max(extract(epoch from crossed_at - landed_at)::double precision / 60) filter (where recency = 1)
            as last_transit_age_min,
        avg(transit_min order by recency) filter (where recency <= 5) as mean_last5_transit_min,
        max(transit_min) filter (where is_same_sector and sector_recency = 1) as sector_last_transit_min,
        max(extract(epoch from crossed_at - landed_at)::double precision / 60)
        filter (where is_same_sector and sector_recency = 1) as sector_last_transit_age_min
    from known_arrivals
    group by crossing_id
),

local_times as (
    select
        crossings.crossing_id,
        crossings.crossed_at at time zone airports.timezone as local_at
    from crossings
    inner join airports on crossings.airport = airports.airport
)

select
    crossings.crossing_id,
    crossings.flight_id,
    crossings.airport,
    crossings.ring_nm,
    crossings.crossed_at,
    crossings.known_at,
    crossings.is_inbound,
    crossings.sector,
    crossings.bearing_deg,
    sind(crossings.bearing_deg) as bearing_sin,
    cosd(crossings.bearing_deg) as bearing_cos,
    crossings.altitude_m,
    crossings.ground_speed_mps,
    crossings.vertical_rate_mps,
    crossings.track_offset_deg,
    coalesce(inside_now.inbound_inside_count, 0)::integer as inbound_inside_count,
    coalesce(entries.entries_15min_count, 0)::integer as entries_15min_count,
    coalesce(entries.entries_30min_count, 0)::integer as entries_30min_count,
    coalesce(entries.entries_60min_count, 0)::integer as entries_60min_count,
    coalesce(landing_counts.landings_15min_count, 0)::integer as landings_15min_count,
    coalesce(landing_counts.landings_30min_count, 0)::integer as landings_30min_count,
    coalesce(landing_counts.landings_60min_count, 0)::integer as landings_60min_count,
    entries.predecessor_age_min,
    transits.last_transit_min,
    transits.last_transit_age_min,
    transits.mean_last5_transit_min,
    transits.sector_last_transit_min,
    transits.sector_last_transit_age_min,
    last_landings.runway_in_use_deg,
    sind(last_landings.runway_in_use_deg) as runway_in_use_sin,
    cosd(last_landings.runway_in_use_deg) as runway_in_use_cos,
    extract(hour from local_times.local_at)::double precision
    + extract(minute from local_times.local_at)::double precision / 60 as local_hour,
    extract(isodow from local_times.local_at)::integer as local_weekday
from crossings
inner join local_times on crossings.crossing_id = local_times.crossing_id
left join inside_now on crossings.crossing_id = inside_now.crossing_id
left join entries on crossings.crossing_id = entries.crossing_id
left join landing_counts on crossings.crossing_id = landing_counts.crossing_id
left join transits on crossings.crossing_id = transits.crossing_id
left join last_landings on crossings.crossing_id = last_landings.crossing_id
