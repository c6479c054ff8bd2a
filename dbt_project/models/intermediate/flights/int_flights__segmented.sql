{{ config(
    indexes=[{'columns': ['flight_id', 'positioned_at']}, {'columns': ['positioned_at'], 'type': 'brin'}],
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
        position_age_s
    from {{ ref('stg_opensky__states') }}
),

callsigns as (
    select
        icao24,
        positioned_at,
        is_on_ground,
        callsign <> lag(callsign) over (partition by icao24 order by positioned_at) as is_new_callsign
    from states
    where callsign is not null
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
            previous_fresh_at is null
            or is_renamed
            or (
                position_status <> 'stale'
                and positioned_at - previous_fresh_at > interval '{{ var("flight_gap_s") }} seconds'
            )
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
    position_age_s
from started
