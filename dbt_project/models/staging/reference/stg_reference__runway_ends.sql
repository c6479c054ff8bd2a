{{ config(materialized='reference', indexes=[{'columns': ['airport']}]) }}

with runways as (
    select *
    from {{ source('raw', 'runways') }}
    where not is_closed
),

ends as (
    select
        runway_id,
        airport,
        length_m,
        le_ident as ident,
        le_latitude_deg as latitude_deg,
        le_longitude_deg as longitude_deg,
        le_elevation_m as elevation_m,
        he_latitude_deg as far_latitude_deg,
        he_longitude_deg as far_longitude_deg
    from runways
    union all
    select
        runway_id,
        airport,
        length_m,
        he_ident as ident,
        he_latitude_deg as latitude_deg,
        he_longitude_deg as longitude_deg,
        he_elevation_m as elevation_m,
        le_latitude_deg as far_latitude_deg,
        le_longitude_deg as far_longitude_deg
    from runways
),

located as (
    select
        *,
        {{ distance_m('latitude_deg', 'longitude_deg', 'far_latitude_deg', 'far_longitude_deg') }} as span_m
    from ends
    where
        ident ~ '^[0-3]?[0-9][LRC]?$'
        and latitude_deg is not null
        and longitude_deg is not null
        and far_latitude_deg is not null
        and far_longitude_deg is not null
)

select
    airport
    || '_'
    || lpad(regexp_replace(ident, '[LRC]', ''), 2, '0')
    || regexp_replace(ident, '[0-9]', '', 'g')
    || '_'
    || runway_id as runway_end_id,
    airport,
    lpad(regexp_replace(ident, '[LRC]', ''), 2, '0') || regexp_replace(ident, '[0-9]', '', 'g') as runway,
    lpad(regexp_replace(ident, '[LRC]', ''), 2, '0') as runway_direction,
    latitude_deg,
    longitude_deg,
    -- From the two thresholds, not from the file: its headings are rounded and at times magnetic.
    {{ bearing_deg('latitude_deg', 'longitude_deg', 'far_latitude_deg', 'far_longitude_deg') }} as heading_true_deg,
    elevation_m,
    coalesce(length_m, span_m) as length_m
from located
-- A runway shorter than 100 m or longer than 7 km is a slip of the file.
where span_m between 100 and 7000
