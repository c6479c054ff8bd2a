{{ config(
    materialized='rebuilt',
    meta={'time': 'moment_at', 'since': 'event_from_at'},
    indexes=[{'columns': ['moment_id'], 'unique': true}, {'columns': ['icao24', 'moment_at']}]
) }}

with flights as (
    select
        segmented.*,
        {{ changed_from('event_read_from_at') }} as read_from_at,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_flights__segmented') }} as segmented
    {{ join_changes('segmented', 'flight_started_at', since='flight_from_at') }}
),

-- Flight by flight, for within one the index has the positions in the order of time: all at once they would be sorted.
fixes as (
    select
        flights.flight_id,
        flights.icao24,
        flights.kept_from_at,
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
                lead(positions.positioned_at) over by_time as next_at
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = flights.icao24
                and positions.positioned_at between flights.flight_started_at and flights.flight_ended_at
                and positions.positioned_at >= flights.read_from_at
                and positions.position_status = 'fresh'
            window by_time as (partition by positions.icao24 order by positions.positioned_at)
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
turning_points as {{ computed_once() }} (
    select
        *,
        -- Heard or lost so high above the nearest field is neither a landing nor a take-off at any.
        coalesce(height_m < {{ moment_m() }}, true) as is_low
    from gaps
    where
        is_grounded <> was_grounded
        or (not is_grounded and not (is_continued and is_continuing))
),

changes as (
    select
        *,
        lead(positioned_at) over by_flight - positioned_at as lasted,
        first_value(was_grounded) over by_flight as was_grounded_first
    from turning_points
    where is_grounded <> was_grounded
    window by_flight as (partition by icao24, flight_id order by positioned_at)
),

-- The ground flag flickers, on final as on the taxiway: what does not last is neither contact nor flight. Of what
-- is left, contact and flight take turns.
settled as (
    select
        *,
        lag(is_grounded, 1, was_grounded_first) over (
            partition by icao24, flight_id
            order by positioned_at
        ) as is_grounded_before,
        positioned_at - previous_at > interval '{{ var("contact_s") }} seconds' as is_bridged
    from changes
    where coalesce(lasted > interval '20 seconds', true)
),

-- `anchor_at` is the fix that place, course and speed are taken from, always in the air when the contact itself was
-- not heard.
moments as (
    select
        flight_id,
        icao24,
        kept_from_at,
        positioned_at as moment_at,
        case when is_grounded then 'landing' else 'takeoff' end as movement,
        'ground_contact' as method,
        previous_at as other_side_at,
        case when is_grounded and is_bridged then previous_at else positioned_at end as anchor_at,
        is_bridged,
        null::timestamptz as withdrawn_at
    from settled
    where is_grounded <> is_grounded_before
    union all
    select
        flight_id,
        icao24,
        kept_from_at,
        positioned_at as moment_at,
        'landing' as movement,
        'signal_lost' as method,
        null as other_side_at,
        positioned_at as anchor_at,
        false as is_bridged,
        -- Heard again in the air it had gone around, or touched and gone; heard on the ground, that fix tells more.
        next_at as withdrawn_at
    from turning_points
    where not is_grounded and not is_continuing and is_low
    union all
    select
        flight_id,
        icao24,
        kept_from_at,
        positioned_at as moment_at,
        'takeoff' as movement,
        'signal_gained' as method,
        null as other_side_at,
        positioned_at as anchor_at,
        false as is_bridged,
        null as withdrawn_at
    from turning_points
    where not is_grounded and not is_continued and not coalesce(was_grounded, false) and is_low
),

-- `limit 1` keeps the planner from reading all positions for a few hundred.
fixed as {{ as_read_twice() }}(
    select
        moments.*,
        moments.flight_id || '_' || moments.movement || '_'
        || {{ stamp('moments.moment_at') }} as moment_id,
        anchors.latitude_deg,
        anchors.longitude_deg,
        anchors.ground_speed_mps,
        anchors.track_deg,
        grounds.positioned_at as ground_at,
        grounds.latitude_deg as ground_latitude_deg,
        grounds.longitude_deg as ground_longitude_deg,
        grounds.altitude_m as ground_altitude_m,
        grounds.is_on_ground as is_flagged
    from moments
    cross join
        lateral (
            select positions.*
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = moments.icao24
                and positions.positioned_at = moments.anchor_at
            limit 1 -- noqa: AM09
        ) as anchors
    left join
        lateral (
            select positions.*
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = moments.icao24
                and positions.positioned_at
                = case when moments.movement = 'landing' then moments.moment_at else moments.other_side_at end
                and moments.method = 'ground_contact'
            limit 1 -- noqa: AM09
        ) as grounds
        on true
),

-- What the flight did in the two minutes around the moment; the air side lies before a landing
-- and after a take-off.
surroundings as (
    select
        fixed.icao24,
        fixed.moment_id,
        fixed.movement,
        fixed.ground_altitude_m,
        positions.latitude_deg,
        positions.longitude_deg,
        positions.altitude_m,
        positions.ground_speed_mps,
        positions.vertical_rate_mps,
        positions.phase = 'GROUND' as is_grounded,
        extract(epoch from positions.positioned_at - fixed.anchor_at)::double precision as after_s
    from fixed
    inner join {{ ref('int_positions__phased') }} as positions
        on
            fixed.icao24 = positions.icao24
            and fixed.flight_id = positions.flight_id
            and positions.positioned_at >= fixed.anchor_at - interval '{{ var("silence_s") }} seconds'
            and positions.positioned_at <= fixed.anchor_at + interval '{{ var("silence_s") }} seconds'
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
            partition by icao24, moment_id
            order by after_s
            rows between unbounded preceding and unbounded following
        ) as least_base_rank
    from sided
    where is_base or is_air_side
),

-- After a take-off only up to the ground again.
bounded as (
    select
        *,
        is_air_side
        and coalesce(
            movement = 'landing'
            or after_s < min(after_s) filter (where is_grounded and after_s > 0) over (partition by icao24, moment_id),
            true
        ) as is_air
    from ranked
),

described as (
    select
        icao24,
        moment_id,
        max(abs(after_s)) filter (where is_base and base_rank = least_base_rank) as base_s,
        max(latitude_deg) filter (where is_base and base_rank = least_base_rank) as base_latitude_deg,
        max(longitude_deg) filter (where is_base and base_rank = least_base_rank) as base_longitude_deg,
        avg(ground_speed_mps order by after_s) filter (where is_air and abs(after_s) <= 30)
            as mean_ground_speed_mps,
        -- The line through the minute's altitudes, read at the moment: a missing one does not matter.
        -- Sums are in the order of time: in another order their last digit is another.
        coalesce(
            regr_intercept(altitude_m, after_s order by after_s) filter (where is_air),
            avg(altitude_m order by after_s) filter (where is_air)
        ) as altitude_m,
        coalesce(
            regr_slope(altitude_m, after_s order by after_s) filter (where is_air),
            avg(vertical_rate_mps order by after_s) filter (where is_air)
        ) as climb_mps,
        max(altitude_m) filter (where is_air) as highest_m,
        min(after_s) filter (where is_air and altitude_m > ground_altitude_m + 10) as lift_off_s
    from bounded
    group by icao24, moment_id
),

directed as (
    select
        fixed.*,
        described.base_s,
        described.mean_ground_speed_mps,
        described.altitude_m,
        described.climb_mps,
        described.highest_m - fixed.ground_altitude_m as rise_m,
        described.lift_off_s,
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
    inner join described on fixed.icao24 = described.icao24 and fixed.moment_id = described.moment_id
),

-- A take-off climbs. What does not was in the air before (a flag on final, and it goes on sinking) or stays on the
-- ground (the flag drops out while rolling): then the contact before, or the one after, is none either.
judged as (
    select
        *,
        movement = 'takeoff'
        and method = 'ground_contact'
        -- Minutes after a ground without a height, level flight is no roll.
        and not (is_bridged and rise_m is null)
        and not coalesce(rise_m > 15 or climb_mps > 0.5, rise_m is null and climb_mps is null) as is_level
    from directed
),

neighbours as (
    select
        *,
        lead(moment_at) over by_contact as next_contact_at,
        coalesce(
            lead(is_level and climb_mps < -0.5) over by_contact
            and lead(moment_at) over by_contact - moment_at <= interval '180 seconds',
            false
        ) as is_followed_by_sinking,
        coalesce(
            lag(is_level and coalesce(climb_mps >= -0.5, true)) over by_contact
            and moment_at - lag(moment_at) over by_contact <= interval '180 seconds',
            false
        ) as is_after_rolling
    from judged
    window by_contact as (partition by icao24, flight_id, (method = 'ground_contact') order by moment_at)
),

moving as (
    select
        *,
        coalesce(
            case
                -- The way made good over 40 s: reported tracks go stale where reception fades.
                when base_m >= 300 and base_s <= 60 and movement = 'landing' then course_deg
                when base_m >= 300 and base_s <= 60 then {{ normal_deg('course_deg + 180') }}
            end,
            track_deg,
            -- Over a minute the way may have had a turn; it stands in where no track is sent.
            case
                when base_m < 300 then null
                when movement = 'landing' then course_deg
                else {{ normal_deg('course_deg + 180') }}
            end
        ) as moment_track_deg,
        case
            when base_s >= 5 then base_m / base_s
            when method <> 'ground_contact' or is_bridged then ground_speed_mps
        end as made_good_mps,
        coalesce(mean_ground_speed_mps, ground_speed_mps) as moment_ground_speed_mps
    from neighbours
    where
        method <> 'ground_contact'
        or (movement = 'takeoff' and not is_level)
        or (
            movement = 'landing'
            and not is_after_rolling
            -- Without a flag a helicopter that hovers is no landing.
            and (is_flagged or coalesce(climb_mps < -0.3, true))
        )
),

-- 15 m/s is more than taxiing and less than any aeroplane's touch-down. Reported speeds do
-- not serve here: on the ground they stay at the last value sent in the air.
flown as (
    select
        *,
        lag(moment_at) over (
            partition by icao24, flight_id, movement, method, is_followed_by_sinking
            order by moment_at
        ) as previous_moment_at
    from moving
    where made_good_mps >= 15 or (made_good_mps is null and (method <> 'ground_contact' or is_bridged))
)

select
    moment_id,
    flight_id,
    icao24,
    moment_at,
    movement,
    method,
    other_side_at,
    -- It counted as a landing until the minute after showed that it sinks on.
    case when is_followed_by_sinking then next_contact_at + interval '60 seconds' else withdrawn_at end as withdrawn_at,
    anchor_at,
    latitude_deg,
    longitude_deg,
    case when is_bridged then ground_at end as ground_at,
    case when is_bridged then ground_latitude_deg end as ground_latitude_deg,
    case when is_bridged then ground_longitude_deg end as ground_longitude_deg,
    altitude_m,
    climb_mps,
    moment_track_deg as track_deg,
    moment_ground_speed_mps as ground_speed_mps,
    coalesce(base_s <= 60, false) as is_course_seen,
    -- Without a flag the ground ends where the roll is faster than taxiing; lift-off is where the climb begins.
    case when movement = 'takeoff' and not is_flagged then anchor_at + lift_off_s * interval '1 second' end as lifted_at
from flown
-- Rolling out, the flag may flicker again; nobody flies a circuit in three minutes.
where
    moment_at >= kept_from_at
    and (
        method <> 'ground_contact'
        or previous_moment_at is null
        or moment_at - previous_moment_at > interval '180 seconds'
    )
