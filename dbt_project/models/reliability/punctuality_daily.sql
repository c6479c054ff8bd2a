{#- EUROCONTROL's and the industry's on-time: not more than 15 minutes after the scheduled time. -#}
{%- set on_time_min = 15 -%}
{#- As the slice "extreme delays" of the model's evaluation (arrivals/evaluation/slices.py). -#}
{%- set extreme_min = 60 -%}

{{ config(
    indexes=[{'columns': ['arrives_on', 'airport', 'airline'], 'unique': true}]
) }}

with arrivals as (
    select
        found.*,
        (found.scheduled_arrival_at at time zone coalesce(airports.timezone, 'UTC'))::date as arrives_on
    from {{ ref('int_reliability__schedules_matched') }} as found
    left join {{ ref('stg_reference__airports') }} as airports on found.arrival_airport = airports.airport
),

counted as (
    select
        arrives_on,
        arrival_airport as airport,
        airline,
        count(*) as scheduled_count,
        count(*) filter (where arrival_status = 'landed') as landed_count,
        count(*) filter (where arrival_status = 'cancelled') as cancelled_count,
        count(*) filter (where arrival_status = 'not_seen') as not_seen_count,
        count(*) filter (where arrival_delay_min <= {{ on_time_min }}) as on_time_count,
        count(*) filter (where arrival_delay_min > {{ extreme_min }}) as extreme_delay_count,
        avg(arrival_delay_min) as mean_arrival_delay_min
    from arrivals
    group by arrives_on, arrival_airport, airline
)

select
    arrives_on,
    airport,
    airline,
    scheduled_count,
    landed_count,
    cancelled_count,
    not_seen_count,
    on_time_count,
    on_time_count::double precision / nullif(landed_count, 0) as on_time_share,
    mean_arrival_delay_min,
    extreme_delay_count,
    landed_count::double precision / nullif(scheduled_count - cancelled_count, 0) as seen_share
from counted
