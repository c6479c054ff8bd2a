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

-- From here on windows and groups by way alone: the planner takes a join of these for one of a few rows.
fixes as (
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
    where ways.length_m is not null
),

placed as (
    select
        *,
        beside_m <= edge_m and past_m between -100 and length_m + 100 as is_on_runway
    from fixes
),

edges as (
    select
        *,
        lag(positioned_at) over by_way as previous_at,
        lag(past_m) over by_way as previous_past_m,
        lag(beside_m) over by_way as previous_beside_m,
        lag(is_on_runway) over by_way as was_on_runway,
        -- One fix alone beside the runway is a wild one.
        not lag(is_on_runway, 2) over by_way as was_off_before,
        not lead(is_on_runway) over by_way as is_off_after
    from placed
    -- A repeated position is neither here nor there.
    window by_way as (partition by icao24, movement_id, is_fresh order by positioned_at)
),

crossings as (
    select
        *,
        date_part('epoch', positioned_at - previous_at) as crossing_s,
        case
            when
                is_fresh
                and (
                    (is_out and is_on_runway and not was_on_runway and was_off_before)
                    or (not is_out and was_on_runway and not is_on_runway and is_off_after and positioned_at > moved_at)
                )
                then
                    previous_at
                    + (positioned_at - previous_at)
                    * greatest(
                        0, least(1, coalesce((edge_m - previous_beside_m) / nullif(beside_m - previous_beside_m, 0), 1))
                    )
        end as crossed_at,
        case
            when
                is_fresh
                and not is_out
                and previous_past_m < 0
                and past_m >= 0
                and positioned_at - previous_at <= interval '{{ edge_s }} seconds'
                and positioned_at <= moved_at + interval '{{ edge_s }} seconds'
                then previous_at + (positioned_at - previous_at) * (-previous_past_m / (past_m - previous_past_m))
        end as passed_at
    from edges
),

-- Where the way meets the runway's edge: the last entry before a take-off, the first exit after a landing.
met as (
    select
        *,
        case when is_out then max(crossed_at) over by_way else min(crossed_at) over by_way end as runway_at,
        min(passed_at) over by_way as threshold_at
    from crossings
    window by_way as (partition by icao24, movement_id)
),

timed as (
    select
        *,
        max(crossing_s) filter (where crossed_at = runway_at) over by_way as edge_s
    from met
    window by_way as (partition by icao24, movement_id)
),

-- Medians of ten seconds: at its stand an aircraft sends single positions that lie far off. Those on the runway's side
-- are one step without a time.
steps as (
    select
        icao24,
        movement_id,
        is_out,
        min(runway_at) as runway_at,
        min(threshold_at) as threshold_at,
        max(edge_s) as edge_s,
        min(positioned_at) as first_at,
        max(positioned_at) as last_at,
        percentile_cont(0.5) within group (order by latitude_deg) as latitude_deg,
        percentile_cont(0.5) within group (order by longitude_deg) as longitude_deg,
        min(beside_m) as beside_m,
        case
            when
                edge_s <= {{ edge_s }}
                and case when is_out then positioned_at <= runway_at else positioned_at >= runway_at end
                then date_bin('10 seconds', positioned_at, 'epoch')
        end as step_at
    from timed
    group by icao24, movement_id, is_out, step_at
),

neighboured as (
    select
        *,
        first_value(first_at) over whole as way_from_at,
        last_value(last_at) over whole as way_until_at,
        date_part('epoch', first_at - lag(last_at) over by_way) as gap_s,
        {{ distance_m(
            'lag(latitude_deg) over by_way', 'lag(longitude_deg) over by_way', 'latitude_deg', 'longitude_deg',
        ) }} as step_m,
        {{ distance_m(
            'latitude_deg', 'longitude_deg', 'lead(latitude_deg) over by_way', 'lead(longitude_deg) over by_way',
        ) }} as next_step_m,
        {{ distance_m(
            'lag(latitude_deg) over by_way', 'lag(longitude_deg) over by_way', 'latitude_deg', 'longitude_deg',
        ) }} / nullif(date_part('epoch', first_at - lag(first_at) over by_way), 0) as step_mps,
        {{ distance_m(
            'lag(latitude_deg, 2) over by_way', 'lag(longitude_deg, 2) over by_way', 'latitude_deg', 'longitude_deg',
        ) }} / nullif(date_part('epoch', first_at - lag(first_at, 2) over by_way), 0) as before_mps,
        -- A quarter of an hour in one place is a stand too, whatever was towed before.
        first_value(first_at) over quarter <= last_at - interval '890 seconds'
        and radians(max(latitude_deg) over quarter - min(latitude_deg) over quarter) * 6371008.8 < 50
        and radians(max(longitude_deg) over quarter - min(longitude_deg) over quarter)
        * cosd(latitude_deg) * 6371008.8 < 50 as has_stood_long
    from steps
    window
        by_way as (partition by icao24, movement_id, (step_at is null) order by first_at),
        whole as (
            partition by icao24, movement_id, (step_at is null)
            order by first_at
            rows between unbounded preceding and unbounded following
        ),
        quarter as (
            partition by icao24, movement_id, (step_at is null)
            order by first_at
            range between interval '900 seconds' preceding and current row
        )
),

bounded as (
    select
        *,
        max(last_at) filter (where is_out and has_stood_long and step_at is not null)
            over (partition by icao24, movement_id) as stood_at
    from neighboured
),

-- The way begins or ends where it was in the last minute that was heard, in the first, or in the middle of the last
-- long stand.
ended as (
    select
        *,
        step_at is not null
        and case
            when not is_out then last_at >= way_until_at - interval '60 seconds'
            when stood_at is not null
                then last_at between stood_at - interval '600 seconds' and stood_at - interval '300 seconds'
            else first_at <= way_from_at + interval '60 seconds'
        end as is_end
    from bounded
),

stands as (
    select
        *,
        avg(latitude_deg) filter (where is_end) over whole as stand_latitude_deg,
        avg(longitude_deg) filter (where is_end) over whole as stand_longitude_deg,
        min(beside_m) filter (where is_end) over whole as stand_beside_m
    from ended
    window
        whole as (
            partition by icao24, movement_id
            order by first_at
            rows between unbounded preceding and unbounded following
        )
),

measured as (
    select
        *,
        step_at is not null
        and {{ distance_m(
            'stand_latitude_deg', 'stand_longitude_deg', 'latitude_deg', 'longitude_deg',
        ) }} <= {{ stand_m }} as is_at_stand
    from stands
),

stood as (
    select
        *,
        case
            when is_out then max(last_at) filter (where is_at_stand) over by_way
            else min(first_at) filter (where is_at_stand) over by_way
        end as stand_at
    from measured
    window by_way as (partition by icao24, movement_id)
),

-- The steps between the stand and the runway, and those of the minute in which the stand is left or reached.
rolling as (
    select
        *,
        step_at is not null
        and first_at > case when is_out then stand_at else '-infinity' end
        and first_at <= case when is_out then 'infinity' else stand_at end as is_rolling,
        first_at between stand_at - interval '60 seconds' and stand_at + interval '60 seconds' as is_near
    from stood
),

-- Materialized, or it may be computed once for each way.
told as materialized (
    select
        icao24,
        movement_id,
        min(runway_at) as runway_at,
        min(threshold_at) as threshold_at,
        max(edge_s) as edge_s,
        min(stand_at) as stand_at,
        min(stand_latitude_deg) as stand_latitude_deg,
        min(stand_longitude_deg) as stand_longitude_deg,
        min(stand_beside_m) as stand_beside_m,
        -- How long it stood there: 60 s tell a stand from a halt where nothing was heard before, or is heard after.
        min(date_part('epoch', case when is_out then stand_at - way_from_at else way_until_at - stand_at end))
        filter (where step_at is not null) as stood_s,
        max(gap_s) filter (where is_rolling) as gap_s,
        max(step_m) filter (where is_rolling) as step_m,
        max(gap_s) filter (where is_rolling and is_near) as stand_gap_s,
        max(step_mps) filter (where is_rolling and is_near) as stand_step_mps,
        -- How fast it came to rest, over the two steps before: a position that freezes while the aircraft rolls is no
        -- stand.
        (
            array_agg(before_mps order by first_at)
            filter (where is_at_stand and not is_out and coalesce(next_step_m < 10, true))
        )[1] as braked_mps
    from rolling
    group by icao24, movement_id
),

judged as (
    select
        ways.*,
        told.stand_latitude_deg,
        told.stand_longitude_deg,
        told.stand_at,
        told.threshold_at,
        case when told.edge_s <= {{ edge_s }} then told.runway_at end as runway_at,
        case
            when ways.length_m is null then 'no_runway'
            when told.edge_s is null or told.edge_s > {{ edge_s }} then 'runway_not_seen'
            when ways.is_between then 'no_stand'
            when
                told.stood_s is null
                or told.stood_s < 60
                -- Holding short of the runway.
                or (told.stand_beside_m < 150 and ways.length_m >= 1200)
                or coalesce(told.braked_mps > 4, false)
                -- Not heard, or frozen, while it left or came: nobody taxies at 15 m/s there.
                or coalesce(told.stand_gap_s > {{ edge_s }} or told.stand_step_mps > 15, false)
                then 'stand_not_seen'
            when told.gap_s > {{ var('silence_s') }} or told.step_m > 1200 then 'reception_gap'
        end as taxi_reason,
        case
            when ways.length_m is null then 'no_runway'
            when told.edge_s is null or told.edge_s > {{ occupancy_edge_s }} then 'runway_not_seen'
            when ways.is_out and not ways.is_seen then 'lift_off_not_seen'
            when not ways.is_out and told.threshold_at is null then 'threshold_not_seen'
        end as occupancy_reason
    from ways
    left join told on ways.icao24 = told.icao24 and ways.movement_id = told.movement_id
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
