{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'last_fix_at', 'since': 'flight_from_at'},
    indexes=[{'columns': ['movement_id'], 'unique': true}, {'columns': ['icao24', 'last_fix_at']}]
) }}

{#- An aircraft stands at a place as long as it is this near: more than positions wander, less than a pushback. -#}
{%- set stand_m = 20 -%}
{#- Between the fixes on both sides of a runway's edge, for the taxi time and for seconds on the runway. -#}
{%- set edge_s = 40 -%}
{%- set occupancy_edge_s = 15 -%}

with movements as (
    select
        fct_movements.*,
        lag(fct_movements.moved_at) over by_flight as previous_moved_at,
        lead(fct_movements.moved_at) over by_flight as next_moved_at
    from {{ ref('fct_movements') }}
    {{ join_changes('fct_movements', 'last_fix_at', since='flight_from_at') }}
    window
        by_flight as (
            partition by fct_movements.icao24, fct_movements.flight_id
            order by fct_movements.last_fix_at, fct_movements.movement_id
        )
),

flights as (
    select segmented.*
    from {{ ref('int_flights__segmented') }} as segmented
    {{ join_changes('segmented', 'flight_started_at', since='flight_from_at') }}
),

-- The longest, where a file has two of one name.
runway_ends as (
    select distinct on (airport, runway) *
    from {{ ref('stg_reference__runway_ends') }}
    order by airport asc, runway asc, length_m desc, runway_end_id asc
),

-- One way of an aircraft on the ground: before a take-off, or after a landing.
ways as (
    select
        movements.icao24,
        movements.flight_id,
        movements.movement_id,
        movements.airport,
        movements.movement,
        movements.moved_at,
        movements.last_fix_at,
        movements.runway,
        movements.runway_direction,
        movements.airline,
        movements.typecode,
        movements.movement = 'takeoff' as is_out,
        movements.method = 'ground_contact' and movements.label_quality = 'observed' as is_seen,
        case when movements.movement = 'takeoff' then movements.previous_moved_at else movements.next_moved_at end
        is not null as is_between,
        case
            when movements.movement = 'takeoff'
                then
                    greatest(
                        flights.flight_started_at,
                        movements.previous_moved_at,
                        movements.moved_at - interval '3 hours'
                    )
            else movements.moved_at - interval '120 seconds'
        end as from_at,
        case
            when movements.movement = 'takeoff' then movements.moved_at
            else
                least(flights.flight_ended_at, movements.next_moved_at, movements.moved_at + interval '3 hours')
        end as until_at,
        runway_ends.latitude_deg as threshold_latitude_deg,
        runway_ends.longitude_deg as threshold_longitude_deg,
        runway_ends.heading_true_deg,
        runway_ends.length_m,
        -- Who holds short of a runway of 1,200 m or more stays 75 to 107 m off its middle (ICAO Annex 14, table 3-2).
        case when runway_ends.length_m >= 1200 then 60 else 30 end as edge_m
    from movements
    inner join flights on movements.icao24 = flights.icao24 and movements.flight_id = flights.flight_id
    left join runway_ends on movements.airport = runway_ends.airport and movements.runway = runway_ends.runway
    where movements.movement in ('takeoff', 'landing')
),

fixes as materialized (
    select
        ways.icao24,
        ways.movement_id,
        ways.is_out,
        ways.moved_at,
        ways.length_m,
        ways.edge_m,
        positions.*,
        {{ past_m(
            'ways.threshold_latitude_deg', 'ways.threshold_longitude_deg', 'ways.heading_true_deg',
            'positions.latitude_deg', 'positions.longitude_deg',
        ) }} as past_m,
        {{ beside_m(
            'ways.threshold_latitude_deg', 'ways.threshold_longitude_deg', 'ways.heading_true_deg',
            'positions.latitude_deg', 'positions.longitude_deg',
        ) }} as beside_m
    from ways
    cross join
        lateral (
            select
                phased.positioned_at,
                phased.latitude_deg,
                phased.longitude_deg,
                phased.position_status = 'fresh' as is_fresh
            from {{ ref('int_positions__phased') }} as phased
            where
                phased.icao24 = ways.icao24
                and phased.flight_id = ways.flight_id
                and phased.positioned_at between ways.from_at and ways.until_at
                and phased.position_status <> 'jump'
        ) as positions
),

placed as (
    select
        *,
        beside_m <= edge_m and past_m between -100 and length_m + 100 as is_on_runway
    from fixes
    where is_fresh and length_m is not null
),

edges as (
    select
        icao24,
        movement_id,
        is_out,
        moved_at,
        edge_m,
        positioned_at,
        past_m,
        beside_m,
        is_on_runway,
        lag(positioned_at) over by_way as previous_at,
        lag(past_m) over by_way as previous_past_m,
        lag(beside_m) over by_way as previous_beside_m,
        lag(is_on_runway) over by_way as was_on_runway,
        -- One fix alone beside the runway is a wild one.
        not lag(is_on_runway, 2) over by_way as was_off_before,
        not lead(is_on_runway) over by_way as is_off_after
    from placed
    window by_way as (partition by icao24, movement_id order by positioned_at)
),

-- Where the way meets the runway's edge: the last entry before a take-off, the first exit after a landing.
crossed as (
    select distinct on (icao24, movement_id)
        icao24,
        movement_id,
        date_part('epoch', positioned_at - previous_at) as edge_s,
        previous_at
        + (positioned_at - previous_at)
        * greatest(
            0, least(1, coalesce((edge_m - previous_beside_m) / nullif(beside_m - previous_beside_m, 0), 1))
        ) as runway_at
    from edges
    where
        (is_out and is_on_runway and not was_on_runway and was_off_before)
        or (not is_out and was_on_runway and not is_on_runway and is_off_after and positioned_at > moved_at)
    order by
        icao24 asc,
        movement_id asc,
        case when is_out then positioned_at end desc,
        positioned_at asc
),

thresholds as (
    select
        icao24,
        movement_id,
        min(
            previous_at + (positioned_at - previous_at) * (-previous_past_m / nullif(past_m - previous_past_m, 0))
        ) as threshold_at
    from edges
    where
        not is_out
        and previous_past_m < 0
        and past_m >= 0
        and positioned_at - previous_at <= interval '{{ edge_s }} seconds'
        and positioned_at <= moved_at + interval '{{ edge_s }} seconds'
    group by icao24, movement_id
),

-- Medians of ten seconds: at its stand an aircraft sends single positions that lie far off.
steps as (
    select
        fixes.icao24,
        fixes.movement_id,
        fixes.is_out,
        min(fixes.positioned_at) as first_at,
        max(fixes.positioned_at) as last_at,
        percentile_cont(0.5) within group (order by fixes.latitude_deg) as latitude_deg,
        percentile_cont(0.5) within group (order by fixes.longitude_deg) as longitude_deg,
        min(fixes.beside_m) as beside_m
    from fixes
    inner join crossed on fixes.icao24 = crossed.icao24 and fixes.movement_id = crossed.movement_id
    where
        crossed.edge_s <= {{ edge_s }}
        and case
            when fixes.is_out then fixes.positioned_at <= crossed.runway_at
            else fixes.positioned_at >= crossed.runway_at
        end
    group by fixes.icao24, fixes.movement_id, fixes.is_out, date_bin('10 seconds', fixes.positioned_at, 'epoch')
),

neighboured as (
    select
        *,
        first_value(first_at) over so_far as way_from_at,
        last_value(last_at) over whole as way_until_at,
        lag(last_at) over by_way as previous_at,
        lag(latitude_deg) over by_way as previous_latitude_deg,
        lag(longitude_deg) over by_way as previous_longitude_deg,
        lead(latitude_deg) over by_way as next_latitude_deg,
        lead(longitude_deg) over by_way as next_longitude_deg,
        lag(first_at, 2) over by_way as before_at,
        lag(latitude_deg, 2) over by_way as before_latitude_deg,
        lag(longitude_deg, 2) over by_way as before_longitude_deg,
        -- A quarter of an hour in one place is a stand too, whatever was towed before.
        first_value(first_at) over quarter <= last_at - interval '890 seconds'
        and radians(max(latitude_deg) over quarter - min(latitude_deg) over quarter) * 6371008.8 < 50
        and radians(max(longitude_deg) over quarter - min(longitude_deg) over quarter)
        * cosd(latitude_deg) * 6371008.8 < 50 as has_stood_long
    from steps
    window
        by_way as (partition by icao24, movement_id order by first_at),
        so_far as (partition by icao24, movement_id order by first_at),
        whole as (
            partition by icao24, movement_id
            order by first_at
            rows between unbounded preceding and unbounded following
        ),
        quarter as (
            partition by icao24, movement_id
            order by first_at
            range between interval '900 seconds' preceding and current row
        )
),

bounded as (
    select
        *,
        max(last_at) filter (where is_out and has_stood_long) over (partition by icao24, movement_id) as stood_at
    from neighboured
),

-- Where the way begins or ends: in the last minute that was heard, in the first, or in the middle of the last long
-- stand.
stands as (
    select
        icao24,
        movement_id,
        percentile_cont(0.5) within group (order by latitude_deg) as stand_latitude_deg,
        percentile_cont(0.5) within group (order by longitude_deg) as stand_longitude_deg,
        min(beside_m) as stand_beside_m
    from bounded
    where
        case
            when not is_out then last_at >= way_until_at - interval '60 seconds'
            when stood_at is not null then last_at between stood_at - interval '600 seconds' and stood_at - interval '300 seconds'
            else first_at <= way_from_at + interval '60 seconds'
        end
    group by icao24, movement_id
),

measured as (
    select
        bounded.*,
        stands.stand_latitude_deg,
        stands.stand_longitude_deg,
        stands.stand_beside_m,
        {{ distance_m(
            'stands.stand_latitude_deg', 'stands.stand_longitude_deg', 'bounded.latitude_deg', 'bounded.longitude_deg',
        ) }} <= {{ stand_m }} as is_at_stand,
        {{ distance_m(
            'bounded.previous_latitude_deg', 'bounded.previous_longitude_deg',
            'bounded.latitude_deg', 'bounded.longitude_deg',
        ) }} as step_m,
        {{ distance_m(
            'bounded.latitude_deg', 'bounded.longitude_deg',
            'bounded.next_latitude_deg', 'bounded.next_longitude_deg',
        ) }} as next_step_m,
        {{ distance_m(
            'bounded.before_latitude_deg', 'bounded.before_longitude_deg',
            'bounded.latitude_deg', 'bounded.longitude_deg',
        ) }} / nullif(date_part('epoch', bounded.first_at - bounded.before_at), 0) as before_mps
    from bounded
    inner join stands on bounded.icao24 = stands.icao24 and bounded.movement_id = stands.movement_id
),

stood as (
    select
        icao24,
        movement_id,
        is_out,
        min(stand_latitude_deg) as stand_latitude_deg,
        min(stand_longitude_deg) as stand_longitude_deg,
        min(stand_beside_m) as stand_beside_m,
        min(way_from_at) as way_from_at,
        max(way_until_at) as way_until_at,
        case when is_out then max(last_at) else min(first_at) end as stand_at,
        -- How fast it came to rest, over the two steps before: a position that freezes while the aircraft rolls is no
        -- stand.
        (array_agg(before_mps order by first_at) filter (where not is_out and coalesce(next_step_m < 10, true)))[1]
            as braked_mps
    from measured
    where is_at_stand
    group by icao24, movement_id, is_out
),

-- Between the stand and the runway.
rolled as (
    select
        stood.icao24,
        stood.movement_id,
        stood.stand_at,
        min(stood.stand_latitude_deg) as stand_latitude_deg,
        min(stood.stand_longitude_deg) as stand_longitude_deg,
        min(stood.stand_beside_m) as stand_beside_m,
        -- How long it stood there: 60 s tell a stand from a halt where nothing was heard before, or is heard after.
        min(
            date_part(
                'epoch',
                case
                    when stood.is_out then stood.stand_at - stood.way_from_at
                    else stood.way_until_at - stood.stand_at
                end
            )
        ) as stood_s,
        max(date_part('epoch', measured.first_at - measured.previous_at)) as gap_s,
        max(measured.step_m) as step_m,
        min(stood.braked_mps) as braked_mps
    from stood
    inner join measured
        on
            stood.icao24 = measured.icao24
            and stood.movement_id = measured.movement_id
            and measured.first_at > case when stood.is_out then stood.stand_at else '-infinity' end
            and measured.first_at <= case when stood.is_out then 'infinity' else stood.stand_at end
    group by stood.icao24, stood.movement_id, stood.stand_at
),

judged as (
    select
        ways.*,
        rolled.stand_latitude_deg,
        rolled.stand_longitude_deg,
        rolled.stand_at,
        thresholds.threshold_at,
        crossed.edge_s,
        case when crossed.edge_s <= {{ edge_s }} then crossed.runway_at end as runway_at,
        case
            when ways.length_m is null then 'no_runway'
            when crossed.edge_s is null or crossed.edge_s > {{ edge_s }} then 'runway_not_seen'
            when ways.is_between then 'no_stand'
            when
                rolled.stood_s is null
                or rolled.stood_s < 60
                -- Holding short of the runway.
                or (rolled.stand_beside_m < 150 and ways.length_m >= 1200)
                or coalesce(rolled.braked_mps > 4, false)
                then 'stand_not_seen'
            when rolled.gap_s > {{ var('silence_s') }} or rolled.step_m > 1200 then 'reception_gap'
        end as taxi_reason,
        case
            when ways.length_m is null then 'no_runway'
            when crossed.edge_s is null or crossed.edge_s > {{ occupancy_edge_s }} then 'runway_not_seen'
            when ways.is_out and not ways.is_seen then 'lift_off_not_seen'
            when not ways.is_out and thresholds.threshold_at is null then 'threshold_not_seen'
        end as occupancy_reason
    from ways
    left join crossed on ways.icao24 = crossed.icao24 and ways.movement_id = crossed.movement_id
    left join thresholds on ways.icao24 = thresholds.icao24 and ways.movement_id = thresholds.movement_id
    left join rolled on ways.icao24 = rolled.icao24 and ways.movement_id = rolled.movement_id
)

select
    movement_id,
    icao24,
    flight_id,
    airport,
    case when is_out then 'taxi_out' else 'taxi_in' end as direction,
    moved_at,
    last_fix_at,
    runway,
    runway_direction,
    airline,
    typecode,
    runway_at,
    case when taxi_reason is null then stand_at end as stand_at,
    case when taxi_reason is null then stand_latitude_deg end as stand_latitude_deg,
    case when taxi_reason is null then stand_longitude_deg end as stand_longitude_deg,
    case
        when taxi_reason is null
            then abs(date_part('epoch', runway_at - stand_at)) / 60
    end as taxi_min,
    taxi_reason,
    case
        when occupancy_reason is null and is_out then date_part('epoch', moved_at - runway_at)
        when occupancy_reason is null then date_part('epoch', runway_at - threshold_at)
    end as occupancy_s,
    occupancy_reason
from judged
