{#-
What airframes did in each day or month, as a query: `fleet_daily` and `fleet_monthly`. Sums are of whole numbers, so
that they do not depend on the order in which they are added.
-#}
{%- macro fleet_by(period, column) -%}
with feed as (
    select
        min(minute_at) as from_at,
        max(minute_at) + interval '1 minute' as through_at
    from {{ ref('phase_counts_1m') }}
),

flown as (
    select
        icao24,
        date_trunc('{{ period }}', flown_on)::date as {{ column }},
        count(*) filter (where has_lifted_off) as lift_off_count,
        sum(airborne_ms) as airborne_ms,
        sum(heard_ms) as heard_ms,
        case when bool_and(block_ms is not null) then sum(block_ms) end as block_ms,
        sum(cruise_count) as cruise_count,
        sum(cruise_altitudes_cm) as cruise_altitudes_cm,
        sum(cruise_speeds_cmps) as cruise_speeds_cmps
    from {{ ref('int_flights__split_by_day') }}
    where has_flown
    group by icao24, date_trunc('{{ period }}', flown_on)
),

-- The airline that it flew most for.
airlines as (
    select distinct on (icao24, {{ column }})
        icao24,
        date_trunc('{{ period }}', flown_on)::date as {{ column }},
        airline
    from {{ ref('int_flights__split_by_day') }}
    where has_flown and airline is not null
    group by icao24, {{ column }}, airline
    order by icao24 asc, {{ column }} asc, sum(airborne_ms) desc, airline asc
),

-- A silence lies between two flights: it counts where it begins and where it ends, and nothing was flown in between.
silences as (
    select
        icao24,
        is_bridged,
        false as is_end,
        silent_from_at as from_at,
        silent_through_at as through_at,
        date_trunc('{{ period }}', silent_from_at, 'UTC') as period_at
    from {{ ref('int_fleet__silences') }}
    where
        date_trunc('{{ period }}', silent_from_at, 'UTC') < date_trunc('{{ period }}', silent_through_at, 'UTC')
    union all
    select
        icao24,
        is_bridged,
        true as is_end,
        silent_from_at as from_at,
        silent_through_at as through_at,
        date_trunc('{{ period }}', silent_through_at, 'UTC') as period_at
    from {{ ref('int_fleet__silences') }}
),

clipped as (
    select
        icao24,
        is_bridged,
        is_end,
        (period_at at time zone 'UTC')::date as {{ column }},
        round(extract(
            epoch from
            least(through_at, {{ period_end('period_at', period) }})
            - greatest(from_at, period_at)
        ) * 1000)::bigint as silent_ms
    from silences
),

silent as (
    select
        icao24,
        {{ column }},
        count(*) filter (where is_bridged and is_end) as bridge_count,
        coalesce(sum(silent_ms) filter (where is_bridged), 0) as bridged_ms,
        coalesce(sum(silent_ms) filter (where not is_bridged), 0) as unheard_ms
    from clipped
    group by icao24, {{ column }}
),

joined as (
    select
        flown.*,
        flown.airborne_ms + coalesce(silent.bridged_ms, 0) as flown_ms,
        flown.airborne_ms + coalesce(silent.bridged_ms + silent.unheard_ms, 0) as perhaps_flown_ms,
        coalesce(silent.bridge_count, 0) as bridge_count,
        round(extract(
            epoch from
            least(feed.through_at, {{ period_end('flown.' ~ column ~ "::timestamp at time zone 'UTC'", period) }})
            - greatest(feed.from_at, flown.{{ column }}::timestamp at time zone 'UTC')
        ) * 1000)::bigint as period_ms
    from flown
    cross join feed
    left join silent on flown.icao24 = silent.icao24 and flown.{{ column }} = silent.{{ column }}
)

select
    joined.icao24,
    joined.{{ column }},
    airframes.registration,
    airframes.typecode,
    airlines.airline,
    airline_names.name as airline_name,
    greatest(joined.lift_off_count - joined.bridge_count, 0)::integer as flight_count,
    joined.flown_ms / 3600000.0::double precision as airborne_h,
    joined.block_ms / 3600000.0::double precision as block_h,
    joined.flown_ms / nullif(joined.period_ms, 0)::double precision as utilisation_share,
    joined.cruise_altitudes_cm / (100.0::double precision * joined.cruise_count) as mean_cruise_height_m,
    joined.cruise_speeds_cmps / (100.0::double precision * joined.cruise_count) as mean_cruise_speed_mps,
    joined.cruise_count::integer as cruise_min,
    joined.heard_ms / 3600000.0::double precision as heard_h,
    joined.perhaps_flown_ms / 3600000.0::double precision as perhaps_airborne_h,
    joined.heard_ms / joined.perhaps_flown_ms::double precision as coverage_share
from joined
left join airlines on joined.icao24 = airlines.icao24 and joined.{{ column }} = airlines.{{ column }}
left join {{ ref('stg_reference__airlines') }} as airline_names on airlines.airline = airline_names.airline
left join {{ ref('stg_reference__aircraft') }} as airframes on joined.icao24 = airframes.icao24
where joined.flown_ms > 0
{%- endmacro -%}

{#- The end of a day or month in UTC. -#}
{%- macro period_end(start, period) -%}
    {%- if period == 'day' -%}
        {{ start }} + interval '24 hours'
    {%- else -%}
        ({{ start }} at time zone 'UTC' + interval '1 {{ period }}') at time zone 'UTC'
    {%- endif -%}
{%- endmacro -%}

{#- The same by type of aircraft, from the rows of airframes. -#}
{%- macro fleet_types_by(fleet, column) -%}
select
    coalesce(typecode, 'unknown') as typecode,
    {{ column }},
    count(*)::integer as airframe_count,
    sum(flight_count)::integer as flight_count,
    sum(airborne_h order by icao24) as airborne_h,
    case when bool_and(block_h is not null) then sum(block_h order by icao24) end as block_h,
    avg(utilisation_share order by icao24) as utilisation_share,
    sum(mean_cruise_height_m * cruise_min order by icao24) / nullif(sum(cruise_min), 0) as mean_cruise_height_m,
    sum(mean_cruise_speed_mps * cruise_min order by icao24) / nullif(sum(cruise_min), 0) as mean_cruise_speed_mps,
    sum(heard_h order by icao24) as heard_h,
    sum(perhaps_airborne_h order by icao24) as perhaps_airborne_h,
    sum(heard_h order by icao24) / sum(perhaps_airborne_h order by icao24) as coverage_share
from {{ fleet }}
group by coalesce(typecode, 'unknown'), {{ column }}
{%- endmacro -%}
