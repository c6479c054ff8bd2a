{#- The definition of dispatch reliability: a delay of more than 15 minutes counts. -#}
{%- set delay_min = 15 -%}

{{ config(
    indexes=[{'columns': ['month_on', 'airline', 'fleet'], 'unique': true}]
) }}

with departures as (
    select
        date_trunc('month', schedules.scheduled_departure_at at time zone 'UTC')::date as month_on,
        coalesce({{ operator('schedules.callsign') }}, 'unknown') as airline,
        coalesce(aircraft.typecode, 'unknown') as fleet,
        schedules.is_cancelled,
        coalesce(schedules.departure_delay_min > {{ delay_min }}, false) as is_delayed,
        schedules.is_technical
    from {{ ref('stg_operator__schedules') }} as schedules
    left join {{ ref('stg_reference__aircraft') }} as aircraft on schedules.icao24 = aircraft.icao24
    -- A flight of which nobody recorded a delay says nothing, unless it was cancelled.
    where schedules.departure_delay_min is not null or schedules.is_cancelled
),

counted as (
    select
        month_on,
        airline,
        fleet,
        count(*) as departure_count,
        count(*) filter (where is_delayed and not is_cancelled) as delayed_count,
        count(*) filter (where is_cancelled) as cancelled_count,
        count(*) filter (where (is_delayed or is_cancelled) and is_technical) as technical_count,
        count(*) filter (where (is_delayed or is_cancelled) and is_technical is null) as cause_unknown_count
    from departures
    group by month_on, airline, fleet
)

select
    month_on,
    airline,
    fleet,
    departure_count,
    delayed_count,
    cancelled_count,
    technical_count,
    cause_unknown_count,
    case when cause_unknown_count = 0 then 1 - technical_count::double precision / departure_count end
        as dispatch_reliability_share,
    case
        when cause_unknown_count = 0
            then greatest(1 - {{ poisson_high('technical_count') }} / departure_count, 0)
    end as dispatch_reliability_share_low,
    case when cause_unknown_count = 0 then 1 - {{ poisson_low('technical_count') }} / departure_count end
        as dispatch_reliability_share_high,
    case when cause_unknown_count > 0 then 'cause_not_given' end as dispatch_reliability_reason
from counted
