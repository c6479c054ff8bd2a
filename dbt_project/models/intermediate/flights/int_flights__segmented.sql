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
        lag(states.positioned_at) over (
            partition by states.icao24
            order by states.positioned_at
        ) as previous_at,
        -- The frozen tail of a lost aircraft is no sign of life: gaps count from the last fresh fix.
        max(states.positioned_at) filter (where states.position_status <> 'stale') over (
            partition by states.icao24
            order by states.positioned_at
            rows between unbounded preceding and 1 preceding
        ) as previous_fresh_at
    from states
    left join renamed
        on
            states.icao24 = renamed.icao24
            and states.positioned_at = renamed.positioned_at
),

started as (
    select
        *,
        max(positioned_at) filter (
            where
            coalesce(positioned_at - previous_at > {{ memory() }}, true)
            or is_renamed
            or (position_status <> 'stale' and coalesce(positioned_at - previous_fresh_at > {{ memory() }}, true))
        ) over (partition by icao24 order by positioned_at) as flight_started_at
    from fresh
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
