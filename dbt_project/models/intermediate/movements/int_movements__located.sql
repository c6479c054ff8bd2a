{{ config(
    materialized='rebuilt',
    meta={'time': 'last_fix_at', 'since': 'event_from_at'},
    indexes=[
        {'columns': ['airport', 'known_at']},
        {'columns': ['flight_id']},
        {'columns': ['icao24', 'last_fix_at']},
    ]
) }}

with moments as (
    select *
    from {{ ref('int_movements__candidates') }}
    {{ join_changes('int_movements__candidates', 'moment_at', since='event_from_at') }}
),

-- Materialized, or the planner may scan the positions once per movement.
horizon as materialized (
    select {{ latest_position(ref('int_positions__phased')) }} as latest_at
),

-- Where contact was not heard, the fix on the ground says at which field it was.
placed as (
    select
        *,
        case
            when ground_at is not null
                then {{ distance_m(
                    'latitude_deg',
                    'longitude_deg',
                    'ground_latitude_deg',
                    'ground_longitude_deg',
                ) }}
        end as way_m,
        coalesce(ground_latitude_deg, latitude_deg) as place_latitude_deg,
        coalesce(ground_longitude_deg, longitude_deg) as place_longitude_deg
    from moments
),

nearby as (
    select
        placed.*,
        airports.airport,
        airports.has_scheduled_service,
        placed.altitude_m - airports.elevation_m as height_m,
        {{ distance_m(
            'placed.place_latitude_deg',
            'placed.place_longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as distance_m,
        {{ bearing_deg(
            'placed.latitude_deg',
            'placed.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as bearing_deg
    from placed
    inner join {{ ref('stg_reference__airports') }} as airports
        on
            airports.latitude_deg
            between placed.place_latitude_deg - 0.18 and placed.place_latitude_deg + 0.18
),

counted as (
    select
        *,
        count(*) filter (where has_scheduled_service and distance_m < 15000) over (
            partition by moment_id
        ) as served_count
    from nearby
),

-- `ahead` is measured along the flight's course for a landing and against it for a take-off:
-- both look from the air towards the runway.
candidates as (
    select
        *,
        -- The next field with airliners lies elsewhere.
        has_scheduled_service and served_count = 1 as is_alone,
        distance_m * cosd(bearing_deg - track_deg) * case when movement = 'landing' then 1 else -1 end as ahead_m,
        abs(distance_m * sind(bearing_deg - track_deg)) as aside_m
    from counted
    where
        -- Below, what is higher or further must be in line with a runway that airliners use.
        distance_m < 20000
        and (height_m < 1250 or height_m is null or ground_at is not null)
),

runway_ends as (
    select * from {{ ref('stg_reference__runway_ends') }}
),

thresholds as (
    select
        candidates.moment_id,
        candidates.airport,
        candidates.movement,
        runway_ends.runway,
        runway_ends.runway_direction,
        runway_ends.heading_true_deg,
        runway_ends.length_m,
        runway_ends.latitude_deg as threshold_latitude_deg,
        runway_ends.longitude_deg as threshold_longitude_deg,
        {{ distance_m(
            'candidates.latitude_deg',
            'candidates.longitude_deg',
            'runway_ends.latitude_deg',
            'runway_ends.longitude_deg',
        ) }}
            as threshold_m,
        {{ bearing_deg(
            'candidates.latitude_deg',
            'candidates.longitude_deg',
            'runway_ends.latitude_deg',
            'runway_ends.longitude_deg',
        ) }}
        - runway_ends.heading_true_deg as off_deg
    from candidates
    inner join runway_ends on candidates.airport = runway_ends.airport
    where {{ angle_between_deg('candidates.track_deg', 'runway_ends.heading_true_deg') }} < 20
),

alignments as (
    select
        *,
        -- Distance before the threshold along the runway (negative: past it), and beside its line.
        threshold_m * cosd(off_deg) as before_m,
        abs(threshold_m * sind(off_deg)) as beside_m
    from thresholds
),

aligned as (
    select distinct on (moment_id, airport)
        moment_id,
        airport,
        runway,
        runway_direction,
        heading_true_deg,
        length_m,
        threshold_latitude_deg,
        threshold_longitude_deg,
        before_m,
        beside_m,
        before_m between -length_m - 1000 and 1000 as is_on_runway
    from alignments
    where
        -- 150 m is less than half the distance of dependent parallels; 3 % is 1.7 degrees.
        beside_m < 150 + 0.03 * abs(before_m)
        and case
            when movement = 'landing' then before_m between -length_m and 18000
            else before_m between -length_m - 12000 and 0
        end
    order by moment_id, airport, beside_m, runway
),

judged as (
    select
        candidates.*,
        aligned.runway,
        aligned.runway_direction,
        aligned.heading_true_deg,
        aligned.threshold_latitude_deg,
        aligned.threshold_longitude_deg,
        aligned.before_m,
        aligned.length_m,
        aligned.runway is not null as is_aligned,
        coalesce(
            aligned.beside_m + abs(aligned.before_m) / 10,
            sqrt(power(2 * candidates.aside_m, 2) + power(candidates.ahead_m, 2))
            -- A path of 3 degrees (tangent 0.052) ends 1,500 m short of the reference point; metres off it in
            -- height count as the distance that it takes to lose them.
            + coalesce(abs(candidates.height_m / 0.052 - greatest(candidates.ahead_m - 1500, 0)), 0),
            candidates.distance_m
        )
        -- Six of seven confusions that OPDI counted were a military field 7-25 NM away.
        + case when candidates.has_scheduled_service then 0 else 4000 end as cost_m
    from candidates
    left join aligned
        on
            candidates.moment_id = aligned.moment_id
            and candidates.airport = aligned.airport
    where
        case
            -- Some runways lie 6 km from the field's reference point.
            when candidates.ground_at is not null then candidates.distance_m < 7000
            when candidates.method = 'ground_contact' then candidates.distance_m < 5000 or aligned.is_on_runway
            -- Far and high one is in line with many a strip; airliners land where airliners land.
            when
                (aligned.runway is null or not candidates.has_scheduled_service)
                and (candidates.distance_m >= 15000 or coalesce(candidates.height_m >= 750, false))
                then false
            -- Who is not known to be low is near, and as slow as near a runway.
            when
                candidates.height_m is null
                and (candidates.distance_m >= 15000 or coalesce(candidates.ground_speed_mps > 130, false))
                then false
            when candidates.movement = 'landing'
                then
                    (candidates.climb_mps < -0.5 or candidates.height_m < 100 or candidates.climb_mps is null)
                    and (
                        aligned.runway is not null
                        -- Of one whose climb is not known the side tells whether it comes or goes.
                        or (
                            candidates.ahead_m > case when candidates.climb_mps is null then 0 else -3000 end
                            and candidates.aside_m < 4000
                        )
                    )
            else
                (candidates.climb_mps > 0.5 or candidates.climb_mps is null)
                and (
                    aligned.runway is not null
                    or (
                        candidates.ahead_m > case when candidates.climb_mps is null then 0 else -5000 end
                        and candidates.aside_m < 4000
                    )
                    -- First heard in the turn out of a valley.
                    or (candidates.is_alone and candidates.distance_m < 8000)
                )
        end
),

best as (
    select distinct on (moment_id) *
    from judged
    -- Where it was seen on the ground, there it was.
    order by
        moment_id asc,
        case when ground_at is not null then distance_m end asc,
        is_aligned desc,
        cost_m asc,
        airport asc
),

-- Nothing but the cost tells two fields apart whose runways both are in line, or neither is. A field without
-- airliners is no rival of one with them.
chosen as (
    select
        *,
        method <> 'ground_contact'
        and exists (
            select 1
            from judged as rivals
            where
                rivals.moment_id = best.moment_id
                and rivals.airport <> best.airport
                and rivals.is_aligned = best.is_aligned
                and (rivals.has_scheduled_service or not best.has_scheduled_service)
                and (
                    -- In line a distance counts a tenth, and so does the margin.
                    rivals.cost_m - best.cost_m < case when best.is_aligned then 100 else 1000 end
                    -- After take-off airliners turn over fields that are not theirs.
                    or (
                        best.movement = 'takeoff'
                        and not best.is_aligned
                        and rivals.has_scheduled_service
                        and not best.has_scheduled_service
                    )
                )
        ) as is_ambiguous
    from best
),

-- Every landing is timed where the aircraft passes the touch-down point, 400 m behind the threshold
-- (the aiming point of a runway of 2,400 m or more, ICAO Annex 14), whether its flag came early or late.
passages as (
    select
        chosen.moment_id,
        max(fixes.positioned_at) filter (where fixes.past_m < 400) as before_at,
        max(fixes.past_m) filter (where fixes.past_m < 400) as before_past_m,
        min(fixes.positioned_at) filter (where fixes.past_m >= 400) as after_at,
        min(fixes.past_m) filter (where fixes.past_m >= 400) as after_past_m
    from chosen
    cross join
        lateral (
            select
                positions.positioned_at,
                {{ distance_m(
                    'chosen.threshold_latitude_deg',
                    'chosen.threshold_longitude_deg',
                    'positions.latitude_deg',
                    'positions.longitude_deg',
                ) }}
                * cosd(
                    {{ bearing_deg(
                        'chosen.threshold_latitude_deg',
                        'chosen.threshold_longitude_deg',
                        'positions.latitude_deg',
                        'positions.longitude_deg',
                    ) }}
                    - chosen.heading_true_deg
                )
                    as past_m
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = chosen.icao24
                and positions.flight_id = chosen.flight_id
                and positions.positioned_at between chosen.moment_at - interval '120 seconds' and chosen.moment_at
                and positions.position_status = 'fresh'
        ) as fixes
    where chosen.movement = 'landing' and chosen.is_aligned
    group by chosen.moment_id
),

timed as (
    select
        chosen.*,
        horizon.latest_at,
        case
            when
                passages.before_at < passages.after_at
                and passages.after_at - passages.before_at <= interval '{{ var("contact_s") }} seconds'
                then
                    passages.before_at
                    + (passages.after_at - passages.before_at)
                    * ((400 - passages.before_past_m) / (passages.after_past_m - passages.before_past_m))
        end as touched_at,
        -- Seconds from the fix to the touch-down point: 400 m behind the threshold, or, without
        -- runway data, 1,500 m short of the field's reference point.
        greatest(0, coalesce(chosen.before_m + 400, chosen.way_m, chosen.ahead_m - 1500))
        / greatest(coalesce(chosen.ground_speed_mps, 70), 30) as to_go_s,
        -- Seconds from lift-off to the fix: from 1,500 m behind the threshold, or half of a shorter runway, or,
        -- without runway data, from the field's reference point. Over a silence, not past its other side.
        least(
            greatest(
                0, coalesce(-chosen.before_m - least(1500, chosen.length_m / 2), chosen.way_m, chosen.distance_m)
            )
            / greatest(coalesce(chosen.ground_speed_mps, 70), 30),
            coalesce(date_part('epoch', chosen.moment_at - chosen.ground_at), {{ var('silence_s') }})
        ) as since_s
    from chosen
    cross join horizon
    left join passages on chosen.moment_id = passages.moment_id
),

dated as (
    select
        *,
        case
            when touched_at is not null then touched_at
            when movement = 'landing' and method = 'signal_lost' then moment_at + to_go_s * interval '1 second'
            when movement = 'landing' and ground_at is not null
                then least(anchor_at + to_go_s * interval '1 second', ground_at)
            when method = 'signal_gained' or ground_at is not null then moment_at - since_s * interval '1 second'
            when lifted_at is not null then lifted_at
            else moment_at
        end as moved_at,
        -- Contact is contradicted within 20 s, silence broken within two minutes, or neither is.
        case
            when movement = 'landing' and method = 'ground_contact' then moment_at + interval '20 seconds'
            when movement = 'landing'
                then moment_at + greatest(to_go_s, {{ var('silence_s') }}) * interval '1 second'
            else moment_at + {{ var('silence_s') }} * interval '1 second'
        end as known_at,
        -- Minutes away from the runway the course tells nothing of it.
        case
            when ground_at is null or height_m < 750
                then {{ track_direction('track_deg') }}
        end as track_direction
    from timed
)

select
    moment_id as movement_id,
    flight_id,
    icao24,
    case when not is_ambiguous then airport end as airport,
    movement,
    moved_at,
    moment_at as last_fix_at,
    known_at,
    withdrawn_at,
    case when is_ambiguous then track_direction else coalesce(runway_direction, track_direction) end
        as runway_direction,
    case when not is_ambiguous then runway end as runway,
    case
        when is_ambiguous then 'ambiguous'
        when runway is not null then null
        when track_deg is null then 'no_track'
        when airport not in (select runway_ends.airport from runway_ends) then 'no_runway_data'
        else 'not_in_line'
    end as runway_reason,
    case when not is_ambiguous then heading_true_deg end as heading_true_deg,
    track_deg,
    method,
    case
        when movement = 'landing' and known_at > latest_at then 'provisional'
        when touched_at is not null or (method = 'ground_contact' and ground_at is null) then 'observed'
        when
            is_course_seen
            and ground_at is null
            and case when movement = 'landing' then to_go_s else since_s end <= {{ var('silence_s') }}
            then 'extrapolated'
        else 'estimated'
    end as label_quality,
    height_m,
    distance_m,
    cost_m,
    is_aligned,
    to_go_s
from dated
