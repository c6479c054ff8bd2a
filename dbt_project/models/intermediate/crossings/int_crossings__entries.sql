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

entered as not materialized (
    select * from {{ ref('int_crossings__unioned') }}
    where is_inbound and not is_live {{ and_since_changed_hours('known_at', '1 hour') }}
),

arrivals as (
    select
        'positions' as source,
        flight_id,
        airport,
        ring_nm,
        known_at,
        withdrawn_at
    from {{ ref('int_arrivals__paired') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
    union all
    -- A landing of the history is known when it happens, and never withdrawn.
    select
        'history' as source,
        uid as flight_id,
        airport,
        ring_nm,
        landed_at as known_at,
        null::timestamptz as withdrawn_at
    from {{ ref('stg_history__arrivals') }}
    where true {{ and_since_changed_hours('landed_at', '6 hours') }}
),

-- When it was known of an entry that it had landed.
landed as (
    select
        source,
        flight_id,
        airport,
        ring_nm,
        range_agg(tstzrange(known_at, withdrawn_at)) as landed_during
    from arrivals
    where withdrawn_at is null or withdrawn_at > known_at
    group by source, flight_id, airport, ring_nm
),

-- A lateral subquery takes the index on time.
earlier_entries as (
    select
        crossings.crossing_id,
        crossings.is_live,
        crossings.crossed_at,
        crossings.sector = earlier.sector as is_same_sector,
        earlier.crossed_at as entered_at,
        coalesce(not landed.landed_during @> crossings.crossed_at, true) as is_unlanded
    from crossings
    cross join
        lateral (
            select
                entered.flight_id,
                entered.sector,
                entered.crossed_at
            from entered
            where
                entered.source = crossings.source
                and entered.airport = crossings.airport
                and entered.ring_nm = crossings.ring_nm
                and entered.known_at <= crossings.crossed_at
                and entered.known_at > crossings.crossed_at - interval '60 minutes'
                and entered.crossed_at > crossings.crossed_at - interval '60 minutes'
                and entered.flight_id <> crossings.flight_id
            offset 0 -- noqa: AM09
        ) as earlier
    left join landed
        on
            crossings.source = landed.source
            and earlier.flight_id = landed.flight_id
            and crossings.airport = landed.airport
            and crossings.ring_nm = landed.ring_nm
),

entries as (
    select
        crossing_id,
        is_live,
        {% for n in [5, 15, 30] -%}
            count(*) filter (where entered_at > crossed_at - interval '{{ n }} minutes') as entries_{{ n }}min_count,
        {% endfor -%}
        count(*) as entries_60min_count,
        count(*) filter (where is_same_sector and entered_at > crossed_at - interval '15 minutes')
            as sector_entries_15min_count,
        count(*) filter (where is_unlanded) as unlanded_count,
        count(*) filter (where is_unlanded and is_same_sector) as sector_unlanded_count,
        avg(extract(epoch from crossed_at - entered_at)::double precision / 60 order by entered_at)
        filter (where is_unlanded) as mean_unlanded_age_min,
        extract(epoch from min(crossed_at) - max(entered_at))::double precision / 60 as predecessor_age_min
    from earlier_entries
    group by crossing_id, is_live
)

select
    crossings.crossing_id,
    crossings.is_live,
    crossings.crossed_at,
    {% for n in [5, 15, 30, 60] -%}
        coalesce(entries.entries_{{ n }}min_count, 0)::integer as entries_{{ n }}min_count,
    {% endfor -%}
    coalesce(entries.sector_entries_15min_count, 0)::integer as sector_entries_15min_count,
    coalesce(entries.unlanded_count, 0)::integer as unlanded_count,
    coalesce(entries.sector_unlanded_count, 0)::integer as sector_unlanded_count,
    entries.mean_unlanded_age_min,
    entries.predecessor_age_min
from crossings
left join entries
    on
        crossings.crossing_id = entries.crossing_id
        and crossings.is_live = entries.is_live
