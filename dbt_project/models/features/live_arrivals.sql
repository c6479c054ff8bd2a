{{ config(tags=['hourly'], indexes=[{'columns': ['airport', 'ring_nm']}]) }}

with live as (
    select * from {{ ref('int_crossings__live') }}
),

crossings as (
    select * from {{ ref('int_crossings__unioned') }}
    where is_live
)

select
    crossings.crossing_id,
    crossings.flight_id,
    crossings.source,
    crossings.airport,
    crossings.ring_nm,
    crossings.crossed_at,
    crossings.known_at,
    crossings.is_inbound,
    {{ features() | trim }},
    crossings.icao24,
    live.distance_nm,
    live.entered_at
from crossings
inner join live on crossings.crossing_id = live.crossing_id
{{ join_feature_families() | trim }}
