with located as (
    select * from {{ ref('int_movements__located') }}
    where withdrawn_at is null
)

select
    movement_id,
    flight_id,
    icao24,
    airport,
    movement,
    moved_at,
    runway_direction,
    runway,
    track_deg,
    method,
    label_quality,
    known_at,
    last_fix_at
from located
