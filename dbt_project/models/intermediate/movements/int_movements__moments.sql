{{ config(
    materialized='rebuilt',
    meta={'time': 'moment_at'},
    indexes=[{'columns': ['moment_id'], 'unique': true}, {'columns': ['icao24', 'moment_at']}],
    post_hook='analyze {{ this }}'
) }}

with flights as (
    select *
    from {{ ref('int_flights__segmented') }}
    {{ join_changes('int_flights__segmented', 'flight_started_at') }}
),

-- Flight by flight, for within one the index has the positions in the order of time: all at once they would be sorted.
fixes as (
    select
        flights.flight_id,
        flights.icao24,
        ordered.*
    from flights
    cross join
        lateral (
            select
                positions.positioned_at,
                positions.height_m,
                positions.phase = 'GROUND' as is_grounded,
                lag(positions.positioned_at) over by_time as previous_at,
                lag(positions.phase = 'GROUND') over by_time as was_grounded,
                lead(positions.positioned_at) over by_time as next_at,
                lead(positions.phase = 'GROUND') over by_time as will_be_grounded
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = flights.icao24
                and positions.positioned_at between flights.flight_started_at and flights.flight_ended_at
                and positions.position_status = 'fresh'
            window by_time as (order by positions.positioned_at)
        ) as ordered
),

gaps as (
    select
        *,
        coalesce(positioned_at - previous_at <= interval '{{ var("silence_s") }} seconds', false) as is_continued,
        coalesce(next_at - positioned_at <= interval '{{ var("silence_s") }} seconds', false) as is_continuing
    from fixes
),

-- Of all fixes the few at which something begins or ends.
turning_points as materialized (
    select
        *,
        -- Heard or lost so high above the nearest field is neither a landing nor a take-off at any.
        coalesce(height_m < 4000, true) as is_low
    from gaps
    where
        (is_continued and is_grounded <> was_grounded)
        or (not is_grounded and not (is_continued and is_continuing))
),

moments as (
    select
        flight_id,
        icao24,
        positioned_at as moment_at,
        'landing' as movement,
        'ground_contact' as method,
        previous_at as other_side_at,
        null::timestamptz as withdrawn_at
    from turning_points
    where is_grounded and not was_grounded and is_continued
    union all
    select
        flight_id,
        icao24,
        positioned_at as moment_at,
        'landing' as movement,
        'signal_lost' as method,
        null as other_side_at,
        -- Back in the air after the silence: it had gone around, or touched and gone.
        case when not will_be_grounded then next_at end as withdrawn_at
    from turning_points
    where not is_grounded and not is_continuing and is_low
    union all
    select
        flight_id,
        icao24,
        positioned_at as moment_at,
        'takeoff' as movement,
        'ground_contact' as method,
        previous_at as other_side_at,
        null as withdrawn_at
    from turning_points
    where not is_grounded and was_grounded and is_continued
    union all
    select
        flight_id,
        icao24,
        positioned_at as moment_at,
        'takeoff' as movement,
        'signal_gained' as method,
        null as other_side_at,
        null as withdrawn_at
    from turning_points
    where not is_grounded and not is_continued and is_low
),

-- `limit 1` keeps the planner from reading all positions for a few hundred.
fixed as (
    select
        moments.*,
        moments.flight_id || '_' || moments.movement || '_'
        || to_char(moments.moment_at at time zone 'UTC', 'HH24MISS') as moment_id,
        positions.latitude_deg,
        positions.longitude_deg,
        positions.ground_speed_mps,
        positions.track_deg
    from moments
    cross join
        lateral (
            select positions.*
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = moments.icao24
                and positions.positioned_at = moments.moment_at
            limit 1 -- noqa: AM09
        ) as positions
),

-- What the flight did in the two minutes around the moment; the air side lies before a landing
-- and after a take-off.
surroundings as (
    select
        fixed.moment_id,
        fixed.movement,
        positions.latitude_deg,
        positions.longitude_deg,
        positions.altitude_m,
        positions.ground_speed_mps,
        positions.vertical_rate_mps,
        positions.phase = 'GROUND' as is_grounded,
        extract(epoch from positions.positioned_at - fixed.moment_at)::double precision as after_s
    from fixed
    inner join {{ ref('int_positions__phased') }} as positions
        on
            fixed.icao24 = positions.icao24
            and fixed.flight_id = positions.flight_id
            and positions.positioned_at >= fixed.moment_at - interval '{{ var("silence_s") }} seconds'
            and positions.positioned_at <= fixed.moment_at + interval '{{ var("silence_s") }} seconds'
            and positions.position_status = 'fresh'
),

sided as (
    select
        *,
        case when movement = 'landing' then after_s < 0 else after_s > 0 end as is_base,
        -- The fix furthest away within 40 s goes first, then the nearest one beyond.
        case when abs(after_s) <= 40 then -abs(after_s) else abs(after_s) end as base_rank,
        not is_grounded
        and abs(after_s) <= 60
        and case when movement = 'landing' then after_s <= 0 else after_s >= 0 end as is_air_side
    from surroundings
),

-- Of all that is asked about below the base's rank, found without sorting for each of its columns.
ranked as (
    select
        *,
        min(base_rank) filter (where is_base) over (
            partition by moment_id
            order by after_s
            rows between unbounded preceding and unbounded following
        ) as least_base_rank
    from sided
    where is_base or after_s between 0 and 20
),

described as (
    select
        moment_id,
        -- The ground flag flickers: contact counts when the next 20 s do not contradict it.
        bool_or(is_grounded <> (movement = 'landing') and after_s > 0 and after_s <= 20) as is_contradicted,
        max(abs(after_s)) filter (where is_base and base_rank = least_base_rank) as base_s,
        max(latitude_deg) filter (where is_base and base_rank = least_base_rank) as base_latitude_deg,
        max(longitude_deg) filter (where is_base and base_rank = least_base_rank) as base_longitude_deg,
        avg(ground_speed_mps order by after_s) filter (where is_air_side and abs(after_s) <= 30)
            as mean_ground_speed_mps,
        -- The line through the minute's altitudes, read at the moment: a missing one does not matter.
        -- Sums are in the order of time: in another order their last digit is another.
        coalesce(
            regr_intercept(altitude_m, after_s order by after_s) filter (where is_air_side),
            avg(altitude_m order by after_s) filter (where is_air_side)
        ) as altitude_m,
        coalesce(
            regr_slope(altitude_m, after_s order by after_s) filter (where is_air_side),
            avg(vertical_rate_mps order by after_s) filter (where is_air_side)
        ) as climb_mps
    from ranked
    group by moment_id
),

directed as (
    select
        fixed.*,
        described.base_s,
        described.mean_ground_speed_mps,
        described.altitude_m,
        described.climb_mps,
        {{ distance_m(
            'described.base_latitude_deg',
            'described.base_longitude_deg',
            'fixed.latitude_deg',
            'fixed.longitude_deg',
        ) }} as base_m,
        {{ bearing_deg(
            'described.base_latitude_deg',
            'described.base_longitude_deg',
            'fixed.latitude_deg',
            'fixed.longitude_deg',
        ) }} as course_deg
    from fixed
    inner join described on fixed.moment_id = described.moment_id
    where fixed.method <> 'ground_contact' or not described.is_contradicted
),

moving as (
    select
        *,
        case
            when base_m < 300 then track_deg
            -- The way made good over 40 s: reported tracks go stale where reception fades.
            when movement = 'landing' then course_deg
            else course_deg + 180 - 360 * floor((course_deg + 180) / 360)
        end as moment_track_deg,
        case
            when base_s >= 5 then base_m / base_s
            when method <> 'ground_contact' then ground_speed_mps
        end as made_good_mps,
        coalesce(mean_ground_speed_mps, ground_speed_mps) as moment_ground_speed_mps
    from directed
),

-- 15 m/s is more than taxiing and less than any aeroplane's touch-down. Reported speeds do
-- not serve here: on the ground they stay at the last value sent in the air.
flown as (
    select
        *,
        lag(moment_at) over (partition by flight_id, movement order by moment_at) as previous_moment_at
    from moving
    where made_good_mps >= 15 or (made_good_mps is null and method <> 'ground_contact')
)

select
    moment_id,
    flight_id,
    icao24,
    moment_at,
    movement,
    method,
    other_side_at,
    withdrawn_at,
    latitude_deg,
    longitude_deg,
    altitude_m,
    climb_mps,
    moment_track_deg as track_deg,
    moment_ground_speed_mps as ground_speed_mps
from flown
-- Rolling out, the flag may flicker again; nobody flies a circuit in three minutes.
where previous_moment_at is null or moment_at - previous_moment_at > interval '180 seconds'
