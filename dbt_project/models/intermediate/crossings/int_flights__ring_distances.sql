{#- A box around each airport, a tenth larger than the widest ring, spares most of the trigonometry. -#}
{%- set box_deg = (var('rings_nm') | max) * 1.1 / 60 -%}
{{ config(
    indexes=[{'columns': ['airport', 'positioned_at']}],
    post_hook='analyze {{ this }}'
) }}

with fixes as (
    select
        flight_id,
        positioned_at,
        latitude_deg,
        longitude_deg,
        altitude_m,
        track_deg,
        mean_vertical_rate_mps,
        phase
    from {{ ref('int_positions__phased') }}
    where position_status = 'fresh'
),

nearby as (
    select
        fixes.*,
        airports.airport,
        airports.latitude_deg as airport_latitude_deg,
        airports.longitude_deg as airport_longitude_deg,
        airports.elevation_m as airport_elevation_m
    from fixes
    inner join {{ ref('int_airports__watched') }} as airports
        on
            fixes.latitude_deg between airports.latitude_deg - {{ box_deg }} and airports.latitude_deg + {{ box_deg }}
            -- The cosine at the box's poleward edge; both sides of the date line count as near.
            and abs(
                fixes.longitude_deg - airports.longitude_deg
                - 360 * round((fixes.longitude_deg - airports.longitude_deg) / 360)
            ) * cosd(least(89, abs(airports.latitude_deg) + {{ box_deg }})) < {{ box_deg }}
)

select
    flight_id,
    airport,
    positioned_at,
    {{ distance_m('latitude_deg', 'longitude_deg', 'airport_latitude_deg', 'airport_longitude_deg') }} as distance_m
from nearby
