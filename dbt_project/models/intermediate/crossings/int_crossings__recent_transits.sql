{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['crossing_id']}, {'columns': ['crossed_at']}]
) }}

with crossings as (
    select unioned.*
    from {{ ref('int_crossings__unioned') }} as unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
),

-- Arrivals through a ring, each from when it was known and until it was withdrawn. In the history a landing is known
-- when it happens, and never withdrawn. No feature looks back further than six hours.
arrivals as not materialized (
    select
        'positions' as source,
        movement_id,
        airport,
        ring_nm,
        sector,
        landed_at,
        transit_min,
        known_at,
        withdrawn_at
    from {{ ref('int_arrivals__paired') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
    union all
    select
        'history' as source,
        uid as movement_id,
        airport,
        ring_nm,
        sector,
        landed_at,
        transit_min,
        landed_at as known_at,
        null::timestamptz as withdrawn_at
    from {{ ref('stg_history__arrivals') }}
    where true {{ and_since_changed_hours('landed_at', '6 hours') }}
)

-- A lateral subquery takes the index on time: as a plain join all crossings of an airport met all its landings, and
-- three months of one airport had not ended after ten minutes.
select
    crossings.crossing_id,
    crossings.is_live,
    crossings.crossed_at,
    recent.*
from crossings
cross join
    lateral (
        select
            max(landed.transit_min) filter (where landed.recency = 1) as last_transit_min,
            extract(
                epoch from crossings.crossed_at - max(landed.landed_at) filter (where landed.recency = 1)
            )::double precision / 60 as last_transit_age_min,
            {% for n in [3, 5, 10, 20] -%}
                avg(landed.transit_min order by landed.recency)
                filter (where landed.recency <= {{ n }}) as mean_last{{ n }}_transit_min,
            {% endfor -%}
            {% for n in [3, 5, 10, 20] -%}
                avg(landed.transit_min order by landed.recency)
                filter (where landed.is_same_sector and landed.sector_recency <= {{ n }})
                    as sector_mean_last{{ n }}_transit_min,
            {% endfor -%}
            max(landed.transit_min) filter (where landed.is_same_sector and landed.sector_recency = 1)
                as sector_last_transit_min,
            extract(
                epoch from crossings.crossed_at
                - max(landed.landed_at) filter (where landed.is_same_sector and landed.sector_recency = 1)
            )::double precision / 60 as sector_last_transit_age_min
        from (
            select
                arrivals.landed_at,
                arrivals.transit_min,
                arrivals.sector = crossings.sector as is_same_sector,
                row_number() over latest_first as recency,
                count(*) filter (where arrivals.sector = crossings.sector) over latest_first as sector_recency
            from arrivals
            where
                arrivals.source = crossings.source
                and arrivals.airport = crossings.airport
                and arrivals.ring_nm = crossings.ring_nm
                and arrivals.known_at <= crossings.crossed_at
                and arrivals.known_at > crossings.crossed_at - interval '6 hours'
                and (arrivals.withdrawn_at is null or crossings.crossed_at < arrivals.withdrawn_at)
            window latest_first as (
                order by arrivals.landed_at desc, arrivals.movement_id desc
                rows between unbounded preceding and current row
            )
        ) as landed
    ) as recent
