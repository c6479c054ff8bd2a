{{ config(
    materialized='rebuilt',
    meta={'time': 'positioned_at'},
    indexes=[{'columns': ['positioned_at']}, {'columns': ['icao24', 'positioned_at']}]
) }}

-- The first fix of each slot, not the last: later data must not change what was known.
with slots as (
    select
        flight_id,
        min(icao24) as icao24,
        min(positioned_at) as positioned_at
    from {{ ref('int_positions__phased') }}
    {{ join_changes('int_positions__phased', 'positioned_at') }}
    where position_status = 'fresh' and phase <> 'GROUND'
    group by flight_id, date_bin('10 seconds', positioned_at, 'epoch')
)

select
    positions.flight_id,
    positions.icao24,
    positions.positioned_at,
    positions.latitude_deg,
    positions.longitude_deg,
    positions.altitude_m,
    positions.track_deg,
    positions.mean_vertical_rate_mps
from slots
inner join {{ ref('int_positions__phased') }} as positions
    on
        slots.icao24 = positions.icao24
        and slots.positioned_at = positions.positioned_at
