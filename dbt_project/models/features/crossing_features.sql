{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['flight_id']}, {'columns': ['crossed_at']}]
) }}

with crossings as (
    select unioned.*
    from {{ ref('int_crossings__unioned') }} as unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
    where not unioned.is_live
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
    {{ features() | trim }}
from crossings
{{ join_feature_families() | trim }}
