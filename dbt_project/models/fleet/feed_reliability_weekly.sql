{{ config(indexes=[{'columns': ['area', 'week_on'], 'unique': true}]) }}

{%- set number = "'^-?[0-9]{1,3}(\\.[0-9]+)?$'" %}

with feed as (
    select
        min(hour_at) as from_at,
        max(hour_at) + interval '1 hour' as through_at
    from {{ ref('int_feed__heard_hourly') }}
),

heard as (
    select
        area,
        date_trunc('week', hour_at, 'UTC') as week_at,
        sum(position_count)::bigint as position_count,
        sum(stale_count)::bigint as stale_count,
        sum(heard_minute_count)::bigint as heard_minute_count,
        sum(airborne_ms) as airborne_ms,
        sum(heard_ms) as heard_ms,
        sum(gap_count)::bigint as gap_count,
        max(longest_gap_ms) as longest_gap_ms
    from {{ ref('int_feed__heard_hourly') }}
    group by area, date_trunc('week', hour_at, 'UTC')
),

-- By the names of all formats. A response names aircraft whose position nobody received, which is no fault.
rejected as (
    select
        date_trunc('week', coalesce(loads.window_start_at, rejected.rejected_at), 'UTC') as week_at,
        coalesce(rejected.payload ->> 'latitude', rejected.payload ->> 'lat') as latitude,
        coalesce(rejected.payload ->> 'longitude', rejected.payload ->> 'lon') as longitude
    from {{ source('raw', 'rejected_states') }} as rejected
    left join {{ source('raw', 'ingest_batches') }} as loads on rejected.batch_id = loads.batch_id
    where
        rejected.target = 'raw.opensky_states'
        and rejected.reason not in ('no position', 'no time of position')
),

read as (
    select
        week_at,
        case when latitude ~ {{ number }} then latitude::double precision end as latitude_deg,
        case when longitude ~ {{ number }} then longitude::double precision end as longitude_deg
    from rejected
),

possible as (
    select
        week_at,
        case when abs(latitude_deg) <= 90 and abs(longitude_deg) <= 180 then latitude_deg end as latitude_deg,
        case when abs(latitude_deg) <= 90 and abs(longitude_deg) <= 180 then longitude_deg end as longitude_deg
    from read
),

{{ watched_areas() }},

placed as (
    select
        possible.*,
        {{ unit_vector('possible.latitude_deg', 'possible.longitude_deg') }}
    from possible
),

located as (
    select
        placed.week_at,
        coalesce({{ area_name('placed') }}, 'unknown') as area
    from placed
    {{ join_area('placed') }}
),

refused as (
    select
        area,
        week_at,
        count(*) as rejected_count
    from located
    group by area, week_at
),

joined as (
    select
        coalesce(heard.area, refused.area) as area,
        coalesce(heard.week_at, refused.week_at) as week_at,
        coalesce(heard.position_count, 0) as position_count,
        coalesce(heard.stale_count, 0) as stale_count,
        coalesce(heard.heard_minute_count, 0) as heard_minute_count,
        heard.airborne_ms,
        heard.heard_ms,
        coalesce(heard.gap_count, 0) as gap_count,
        heard.longest_gap_ms,
        coalesce(refused.rejected_count, 0) as rejected_count
    from heard
    full outer join refused on heard.area = refused.area and heard.week_at = refused.week_at
)

select
    joined.area,
    (joined.week_at at time zone 'UTC')::date as week_on,
    joined.position_count,
    joined.heard_ms / nullif(joined.airborne_ms, 0)::double precision as coverage_share,
    joined.gap_count,
    joined.longest_gap_ms / 60000.0::double precision as longest_gap_min,
    joined.heard_minute_count * 60 / nullif(
        extract(
            epoch from
            least(feed.through_at, joined.week_at + interval '168 hours') - greatest(feed.from_at, joined.week_at)
        ),
        0
    )::double precision as heard_share,
    joined.rejected_count,
    joined.rejected_count
    / (joined.position_count + joined.stale_count + joined.rejected_count)::double precision as rejected_share,
    joined.stale_count / nullif(joined.position_count + joined.stale_count, 0)::double precision as stale_share
from joined
cross join feed
