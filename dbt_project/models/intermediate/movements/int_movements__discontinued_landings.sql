{{ config(
    materialized='rebuilt',
    meta={'time': 'last_fix_at', 'since': 'event_from_at'},
    indexes=[{'columns': ['landing_id']}, {'columns': ['takeoff_id']}, {'columns': ['icao24', 'last_fix_at']}]
) }}

with located as (
    select
        movements.*,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_movements__located') }} as movements
    {{ join_changes('movements', 'last_fix_at', since='event_read_from_at') }}
),

approaches as (
    select
        tried.*,
        tried.lowest_altitude_m - tried.height_m as elevation_m,
        coalesce(
            lead(tried.aligned_from_at) over (partition by tried.flight_id order by tried.aligned_from_at), 'infinity'
        ) as until_at,
        {{ changed_from('event_from_at') }} as kept_from_at
    from {{ ref('int_movements__approaches') }} as tried
    {{ join_changes('tried', 'aligned_from_at', since='event_read_from_at') }}
),

landings as (
    select * from located
    where movement = 'landing'
),

takeoffs as (
    select * from located
    where movement = 'takeoff'
),

followed as (
    select
        *,
        lead(movement_id) over by_flight as takeoff_id,
        lead(movement) over by_flight as next_movement,
        lead(method) over by_flight as next_method,
        lead(airport) over by_flight as next_airport,
        lead(last_fix_at) over by_flight as next_fix_at,
        lead(known_at) over by_flight as climb_known_at
    from located
    -- One fix between two silences is a take-off and then a landing.
    window by_flight as (partition by flight_id order by last_fix_at asc, movement desc)
),

-- A landing and the take-off that follows it too soon for a stop.
paired as (
    select *
    from followed
    where
        movement = 'landing'
        and next_movement = 'takeoff'
        and next_airport = airport
        and next_fix_at - last_fix_at
        <= case
            when method = 'ground_contact' and next_method = 'ground_contact'
                then interval '{{ var("silence_s") }} seconds'
            else interval '{{ var("touch_s") }} seconds'
        end
        and (method = 'ground_contact' or height_m < 300)
),

fixes as (
    select
        approaches.approach_id,
        positions.positioned_at,
        positions.altitude_m,
        positions.track_deg,
        positions.phase = 'GROUND' as is_grounded,
        extract(epoch from lead(positions.positioned_at) over by_approach - positions.positioned_at)::double precision
            as step_s,
        -- 30 m less than measured: four hectopascals more than the standard add as much.
        greatest(0, positions.altitude_m - approaches.elevation_m - 30) as height_m,
        greatest(0, lead(positions.altitude_m) over by_approach - approaches.elevation_m - 30) as next_height_m,
        min(positions.positioned_at) filter (
            where
            positions.positioned_at > approaches.lowest_at
            and positions.phase <> 'GROUND'
            and positions.altitude_m >= approaches.lowest_altitude_m + 100
        ) over (partition by approaches.approach_id) as climbed_at
    from approaches
    inner join {{ ref('int_positions__phased') }} as positions
        on
            approaches.icao24 = positions.icao24
            and approaches.flight_id = positions.flight_id
            and approaches.aligned_from_at <= positions.positioned_at
            and approaches.until_at > positions.positioned_at
    where positions.position_status = 'fresh'
    window by_approach as (partition by approaches.approach_id order by positions.positioned_at)
),

until_climb as (
    select
        *,
        min(altitude_m) over (partition by approach_id) as lowest_m
    from fixes
    where climbed_at is not null and positioned_at < climbed_at
),

-- What there was between the approach and the climb.
climbs as (
    select
        approach_id,
        climbed_at,
        min(positioned_at) filter (where is_grounded) as grounded_at,
        (array_agg(track_deg order by positioned_at) filter (where is_grounded and track_deg is not null))[1]
            as grounded_track_deg,
        coalesce(sum(step_s order by positioned_at) filter (where is_grounded), 0) as grounded_s,
        -- The flag comes late: of a roll of ten seconds some fixes have it. One that comes before or after the
        -- lowest fix, and lasts less than five seconds, is a flicker.
        coalesce(bool_or(is_grounded and coalesce(altitude_m, lowest_m) <= lowest_m + 15), false) as is_grounded_lowest,
        -- Nothing was heard for as long as it takes to go down to the runway (900 ft/min), roll 10 s and climb to
        -- where it is heard again (2,400 ft/min). Expected when it is down.
        min(positioned_at + height_m / 4.5 * interval '1 second') filter (
            where
            not is_grounded
            and step_s >= 20
            and step_s >= 10 + height_m / 4.5 + next_height_m / 12
        ) as unheard_at
    from until_climb
    group by approach_id, climbed_at
),

-- Approaches without a landing.
abandoned as (
    select
        approaches.*,
        climbs.climbed_at,
        climbs.grounded_at,
        climbs.grounded_track_deg,
        -- In line with one end it was on the downwind, and landed on the other.
        coalesce({{ angle_between_deg('approaches.track_deg', 'climbs.grounded_track_deg') }} > 20, false)
            as is_other_runway,
        climbs.unheard_at,
        climbs.grounded_s >= 5
        or climbs.is_grounded_lowest
        or coalesce(takeoff.method = 'ground_contact', false) as is_contact,
        climbs.grounded_s <= {{ var('silence_s') }}
        and climbs.climbed_at - approaches.lowest_at
        <= interval '{{ var("touch_s") }} seconds' as is_short,
        takeoff.movement_id as takeoff_id
    from approaches
    inner join climbs on approaches.approach_id = climbs.approach_id
    left join lateral (
        select
            takeoffs.movement_id,
            takeoffs.method
        from takeoffs
        where
            takeoffs.flight_id = approaches.flight_id
            and takeoffs.airport = approaches.airport
            and takeoffs.last_fix_at between
            approaches.lowest_at and climbs.climbed_at + interval '20 seconds'
        order by takeoffs.last_fix_at
        limit 1
    ) as takeoff on true
    where not exists (
        select 1
        from landings
        where
            landings.flight_id = approaches.flight_id
            and landings.last_fix_at between
            approaches.aligned_from_at and climbs.climbed_at
            and (landings.withdrawn_at is null or landings.movement_id in (select paired.movement_id from paired))
    )
),

-- What makes a climb after an approach a go-around: a further try for the same field.
tries as (
    select
        flight_id,
        airport,
        aligned_from_at as tried_at,
        known_at
    from approaches
    union all
    select
        flight_id,
        airport,
        last_fix_at as tried_at,
        known_at
    from landings
),

returned as (
    select distinct on (abandoned.approach_id)
        abandoned.*,
        tries.known_at as returned_known_at
    from abandoned
    inner join tries
        on
            abandoned.flight_id = tries.flight_id
            and abandoned.airport = tries.airport
            and abandoned.climbed_at <= tries.tried_at
    where not abandoned.is_contact and abandoned.unheard_at is null
    order by abandoned.approach_id, tries.known_at
),

discontinued as (
    select
        flight_id,
        icao24,
        airport,
        'touch_and_go' as movement,
        least(moved_at, climb_known_at) as moved_at,
        last_fix_at,
        climb_known_at as known_at,
        runway_direction,
        runway,
        runway_reason,
        track_deg,
        method,
        case when label_quality = 'provisional' then 'extrapolated' else label_quality end as label_quality,
        movement_id as landing_id,
        takeoff_id,
        kept_from_at
    from paired
    union all
    select
        flight_id,
        icao24,
        airport,
        'touch_and_go' as movement,
        least(case when is_contact then coalesce(grounded_at, lowest_at) else unheard_at end, climbed_at) as moved_at,
        lowest_at as last_fix_at,
        climbed_at as known_at,
        case when is_other_runway then {{ track_direction('grounded_track_deg') }} else runway_direction end
            as runway_direction,
        case when not is_other_runway then runway end as runway,
        case when is_other_runway then 'not_in_line' when runway is null then 'no_runway_data' end as runway_reason,
        case when is_other_runway then grounded_track_deg else track_deg end as track_deg,
        case when is_contact then 'ground_contact' else 'signal_lost' end as method,
        case when is_contact then 'observed' else 'extrapolated' end as label_quality,
        null as landing_id,
        takeoff_id,
        kept_from_at
    from abandoned
    where (is_contact or unheard_at is not null) and is_short
    union all
    select
        flight_id,
        icao24,
        airport,
        'go_around' as movement,
        lowest_at as moved_at,
        lowest_at as last_fix_at,
        returned_known_at as known_at,
        runway_direction,
        runway,
        case when runway is null then 'no_runway_data' end as runway_reason,
        track_deg,
        'climbed_away' as method,
        'observed' as label_quality,
        null as landing_id,
        null as takeoff_id,
        kept_from_at
    from returned
)

select
    flight_id || '_' || movement || '_' || {{ stamp('last_fix_at') }} as movement_id,
    flight_id,
    icao24,
    airport,
    movement,
    moved_at,
    last_fix_at,
    known_at,
    runway_direction,
    runway,
    runway_reason,
    track_deg,
    method,
    label_quality,
    landing_id,
    takeoff_id
from discontinued
where last_fix_at >= kept_from_at
