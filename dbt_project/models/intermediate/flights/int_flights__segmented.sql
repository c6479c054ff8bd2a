{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at'},
    indexes=[{'columns': ['icao24', 'positioned_at'], 'unique': true}],
    post_hook='analyze {{ this }}'
) }}

with states as (
    select
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
        {{ changed_from() }} as changed_from_at
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', before='2 * ' ~ memory()) }}
),

callsigns as (
    select
        icao24,
        positioned_at,
        is_on_ground,
        callsign <> lag(callsign) over by_aircraft
        and positioned_at - lag(positioned_at) over by_aircraft <= {{ memory() }} as is_new_callsign
    from states
    where callsign is not null
    window by_aircraft as (partition by icao24 order by positioned_at)
),

-- In the air a new callsign is a corrected typing error; on the ground it is the next flight.
renamed as (
    select
        icao24,
        positioned_at
    from callsigns
    where is_new_callsign and is_on_ground
),

fresh as (
    select
        states.*,
        renamed.icao24 is not null as is_renamed,
        lag(states.positioned_at) over by_aircraft as previous_at,
        -- The frozen tail of a lost aircraft is no sign of life: gaps count from the last fresh fix.
        max(states.positioned_at) filter (where states.position_status <> 'stale') over before as previous_fresh_at,
        max(states.positioned_at) filter (
            where not states.is_on_ground and coalesce(states.ground_speed_mps >= 20, true)
        ) over before as flown_at,
        extract(epoch from states.positioned_at - first_value(states.positioned_at) over last_minute) as span_s,
        {{ distance_m(
            'first_value(states.latitude_deg) over last_minute',
            'first_value(states.longitude_deg) over last_minute',
            'states.latitude_deg',
            'states.longitude_deg',
        ) }}
            as moved_m
    from states
    left join renamed
        on
            states.icao24 = renamed.icao24
            and states.positioned_at = renamed.positioned_at
    window
        by_aircraft as (partition by states.icao24 order by states.positioned_at),
        before as (
            partition by states.icao24
            order by states.positioned_at
            rows between unbounded preceding and 1 preceding
        ),
        last_minute as (
            partition by states.icao24
            order by states.positioned_at
            range between interval '60 seconds' preceding and current row
        )
),

-- Positions of a parked aircraft wander by some metres, a queue of taxiing ones creeps: 50 m in a minute
-- lie between. A wild position (staging's limit) is no movement.
rolled as (
    select
        *,
        max(positioned_at) filter (where moved_m > 50 and moved_m <= 1000 + 515 * span_s)
            over (partition by icao24 order by positioned_at) as moved_at
    from fresh
),

stood as (
    select
        *,
        -- Together with the minute's way not further back than is looked at before a range begins.
        coalesce(
            is_on_ground
            and span_s >= 20
            and positioned_at - moved_at between interval '{{ var("stand_s") }} seconds'
            and 2 * {{ memory() }} - interval '60 seconds',
            false
        ) as has_stood
    from rolled
),

bounded as (
    select
        *,
        case
            when
                coalesce(positioned_at - previous_at > {{ memory() }}, true)
                or (position_status <> 'stale' and coalesce(positioned_at - previous_fresh_at > {{ memory() }}, true))
                then 'silence'
            when is_renamed then 'callsign'
            when has_stood and not lag(has_stood) over (partition by icao24 order by positioned_at) then 'stand'
        end as boundary
    from stood
),

preceded as (
    select
        *,
        max(positioned_at) filter (where boundary is not null) over (
            partition by icao24
            order by positioned_at
            rows between unbounded preceding and 1 preceding
        ) as previous_boundary_at
    from bounded
),

-- A stand or a new callsign ends only what has flown since the last such: before, nothing has left yet. Of two
-- without a flight between them the first decides, so this is the same as since the flight's start.
started as (
    select
        *,
        max(positioned_at) filter (
            where
            boundary = 'silence'
            or (boundary is not null and flown_at >= previous_boundary_at)
            -- A range begins with a flight; what that one followed may lie too far back.
            or positioned_at = changed_from_at
        ) over (partition by icao24 order by positioned_at) as flight_started_at
    from preceded
)

select
    icao24 || '_' || to_char(flight_started_at at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') as flight_id,
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
    flight_started_at
from started
where positioned_at >= changed_from_at
