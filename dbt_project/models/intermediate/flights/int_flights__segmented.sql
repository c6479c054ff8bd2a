{{ config(
    materialized='rebuilt',
    meta={'time': 'flight_started_at'},
    indexes=[{'columns': ['icao24', 'flight_started_at'], 'unique': true}],
    post_hook='analyze {{ this }}'
) }}

with states as not materialized (
    select
        icao24,
        positioned_at,
        callsign,
        latitude_deg,
        longitude_deg,
        ground_speed_mps,
        is_on_ground,
        position_status,
        {{ changed_from() }} as changed_from_at
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', before='2 * ' ~ memory()) }}
),

-- Stands and new callsigns end a flight on the ground: most aircraft are not heard there after they have flown.
landed as (
    select icao24
    from states
    group by icao24
    having
        min(positioned_at) filter (where not is_on_ground)
        < max(positioned_at) filter (where is_on_ground)
),

grounded as not materialized (
    select states.*
    from states
    inner join landed on states.icao24 = landed.icao24
),

callsigns as (
    select
        icao24,
        positioned_at,
        is_on_ground,
        callsign <> lag(callsign) over by_aircraft
        and positioned_at - lag(positioned_at) over by_aircraft <= {{ memory() }} as is_new_callsign
    from grounded
    where callsign is not null
    window by_aircraft as (partition by icao24 order by positioned_at)
),

-- The minute's way.
moved as (
    select
        icao24,
        positioned_at,
        is_on_ground,
        date_part('epoch', positioned_at - first_value(positioned_at) over last_minute) as span_s,
        {{ distance_m(
            'first_value(latitude_deg) over last_minute',
            'first_value(longitude_deg) over last_minute',
            'latitude_deg',
            'longitude_deg',
        ) }}
            as moved_m
    from grounded
    window last_minute as (
        partition by icao24
        order by positioned_at
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
    from moved
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

parked as (
    select
        icao24,
        positioned_at,
        has_stood and not lag(has_stood) over (partition by icao24 order by positioned_at) as is_parked
    from stood
),

-- In the air a new callsign is a corrected typing error; on the ground it is the next flight.
turnarounds as (
    select
        icao24,
        positioned_at
    from callsigns
    where is_new_callsign and is_on_ground
    union
    select
        icao24,
        positioned_at
    from parked
    where is_parked
),

preceded as (
    select
        states.icao24,
        states.positioned_at,
        states.changed_from_at,
        states.position_status,
        turnarounds.icao24 is not null as is_turnaround,
        max(states.positioned_at) over before as previous_at,
        -- The frozen tail of a lost aircraft is no sign of life: gaps count from the last fresh fix.
        max(states.positioned_at) filter (where states.position_status <> 'stale') over before as previous_fresh_at,
        max(states.positioned_at) filter (
            where not states.is_on_ground and coalesce(states.ground_speed_mps >= 20, true)
        ) over before as flown_at,
        lead(states.positioned_at) over before is null as is_last
    from states
    left join turnarounds
        on
            states.icao24 = turnarounds.icao24
            and states.positioned_at = turnarounds.positioned_at
    window before as (
        partition by states.icao24
        order by states.positioned_at
        rows between unbounded preceding and 1 preceding
    )
),

bounded as (
    select
        *,
        coalesce(positioned_at - previous_at > {{ memory() }}, true)
        or (position_status <> 'stale' and coalesce(positioned_at - previous_fresh_at > {{ memory() }}, true))
            as is_after_silence
    from preceded
),

-- From here on only the few rows count at which a flight may begin, and the last one of each aircraft.
boundaries as (
    select
        *,
        max(positioned_at) filter (where is_after_silence or is_turnaround) over (
            partition by icao24
            order by positioned_at
            rows between unbounded preceding and 1 preceding
        ) as previous_boundary_at
    from bounded
    -- A range begins with a flight; what that one followed may lie too far back.
    where is_after_silence or is_turnaround or positioned_at = changed_from_at or is_last
),

-- A stand or a new callsign ends only what has flown since the last such: before, nothing has left yet. Of two
-- without a flight between them the first decides, so this is the same as since the flight's start.
started as (
    select
        *,
        is_after_silence
        or (is_turnaround and coalesce(flown_at >= previous_boundary_at, false))
        or positioned_at = changed_from_at as is_start
    from boundaries
),

ended as (
    select
        *,
        -- Of the last flight its own start, or the aircraft's last row, is where it ends.
        coalesce(
            min(previous_at) filter (where is_start) over later,
            max(positioned_at) filter (where is_last) over later,
            positioned_at
        ) as flight_ended_at
    from started
    window later as (
        partition by icao24
        order by positioned_at
        rows between 1 following and unbounded following
    )
)

select
    icao24 || '_' || to_char(positioned_at at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') as flight_id,
    icao24,
    positioned_at as flight_started_at,
    flight_ended_at
from ended
where is_start and positioned_at >= changed_from_at
