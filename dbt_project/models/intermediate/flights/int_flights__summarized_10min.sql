{{ config(
    materialized='rebuilt',
    meta={'time': 'started_at', 'since': 'summary_from_at'},
    indexes=[{'columns': ['icao24', 'started_at'], 'unique': true}]
) }}

select
    flight_id,
    icao24,
    callsign,
    min(positioned_at) as started_at,
    max(positioned_at) filter (where position_status = 'fresh') as last_seen_at,
    max(positioned_at) as ended_at,
    max(height_m) as max_height_m,
    -- Null where no fix tells: one of a parked aircraft tells without a height, one in the air without a height
    -- only by a speed that nobody taxies at. On the ground the air pressure can make a field seem higher.
    bool_or(
        case
            when phase = 'GROUND' then false
            when phase <> 'UNKNOWN' or height_m > 300 then true
            when height_m is null and not is_on_ground and ground_speed_mps > 40 then true
        end
    ) as is_airborne,
    min(case when phase = 'GROUND' or is_on_ground then 0 else coalesce(height_m, 0) end) as lowest_m,
    count(*) as position_count
from {{ ref('int_positions__phased') }}
{{ join_changes('int_positions__phased', 'positioned_at', since='summary_from_at') }}
group by flight_id, icao24, callsign, date_bin('10 minutes', positioned_at, 'epoch')
