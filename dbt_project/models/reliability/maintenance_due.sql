{#- Utilisation is that of the last so many days of which the airframe's hours are known. -#}
{%- set utilisation_days = 90 -%}
{%- set utilised_days = 'least(' ~ utilisation_days ~ ', utilised.last_day_on - utilised.first_day_on + 1)' -%}

{{ config(
    indexes=[{'columns': ['airframe', 'task'], 'unique': true}]
) }}

with clock as (
    select ({{ now_at() }} at time zone 'UTC')::date as today_on
),

airframes as (
    select
        airframes.*,
        clock.today_on
    from {{ ref('int_reliability__airframes') }} as airframes
    cross join clock
),

duties as (
    select
        'task' as kind,
        task,
        applies_to,
        description,
        interval_hours,
        interval_cycles,
        interval_days,
        null::double precision as due_hours,
        null::bigint as due_cycles,
        null::date as due_on
    from {{ ref('stg_operator__maintenance_programmes') }}
    union all
    select
        'bulletin' as kind,
        reference,
        applies_to,
        title as description,
        null as interval_hours,
        null as interval_cycles,
        null as interval_days,
        due_hours,
        due_cycles,
        due_on
    from {{ ref('stg_operator__bulletins') }}
),

-- What is said of the airframe counts before what is said of its type, and that before what is said of all.
chosen as (
    select distinct on (airframes.airframe, duties.task)
        airframes.icao24,
        airframes.airframe,
        airframes.fleet,
        airframes.today_on,
        duties.*
    from airframes
    inner join duties
        on duties.applies_to in (airframes.airframe, coalesce(airframes.typecode, airframes.fleet), '')
    order by
        airframes.airframe asc,
        duties.task asc,
        duties.applies_to = airframes.airframe desc,
        duties.applies_to desc,
        duties.kind desc
),

utilised as (
    select
        daily.airframe,
        min(daily.day_on) as first_day_on,
        max(daily.day_on) as last_day_on,
        max(daily.hours_to_date) as hours_to_date,
        max(daily.cycles_to_date) as cycles_to_date,
        case
            when min(daily.exposure_source) = max(daily.exposure_source) then min(daily.exposure_source) else 'both'
        end
            as exposure_source
    from {{ ref('int_reliability__exposure_daily') }} as daily
    cross join clock
    where daily.day_on <= clock.today_on
    group by daily.airframe
),

rates as (
    select
        utilised.airframe,
        sum(daily.flight_hours) / {{ utilised_days }} as hours_per_day,
        sum(daily.cycles) / {{ utilised_days }} as cycles_per_day
    from utilised
    cross join clock
    inner join {{ ref('int_reliability__exposure_daily') }} as daily
        on
            utilised.airframe = daily.airframe
            and daily.day_on > utilised.last_day_on - {{ utilisation_days }}
            and utilised.last_day_on >= daily.day_on
    where utilised.last_day_on > clock.today_on - {{ utilisation_days }}
    group by utilised.airframe, utilised.first_day_on, utilised.last_day_on
),

done as (
    select distinct on (events.airframe, events.task)
        events.airframe,
        events.task,
        events.occurred_on,
        events.airframe_hours as hours,
        events.airframe_cycles as cycles
    from {{ ref('stg_operator__maintenance_events') }} as events
    cross join clock
    where events.task is not null and events.airframe is not null and events.occurred_on <= clock.today_on
    order by events.airframe asc, events.task asc, events.occurred_on desc, events.event_id desc
),

{% for unit in ['hours', 'cycles'] %}
-- The last that a report says of the airframe's own counter, with what was flown since then.
    {{ unit }}_counted as (
        select
            reported.airframe,
            reported.occurred_on,
            reported.counter
            + case
                when utilised.last_day_on is null or utilised.last_day_on <= reported.occurred_on then 0
                when utilised.first_day_on <= reported.occurred_on + 1
                    then utilised.{{ unit }}_to_date - coalesce(flown.{{ unit }}_to_date, 0)
            end as counter
        from (
            select distinct on (events.airframe)
                events.airframe,
                events.occurred_on,
                events.airframe_{{ unit }}::double precision as counter
            from {{ ref('stg_operator__maintenance_events') }} as events
            cross join clock
            where
                events.airframe is not null
                and events.airframe_{{ unit }} is not null
                and events.occurred_on <= clock.today_on
            order by events.airframe asc, events.occurred_on desc, events.airframe_{{ unit }} desc
        ) as reported
        left join utilised on reported.airframe = utilised.airframe
        left join lateral (
            select daily.{{ unit }}_to_date
            from {{ ref('int_reliability__exposure_daily') }} as daily
            where daily.airframe = reported.airframe and daily.day_on <= reported.occurred_on
            order by daily.day_on desc
            limit 1
        ) as flown on true
    ),
{% endfor %}

since as (
    select
        chosen.*,
        chosen.kind = 'bulletin' and done.occurred_on is not null as is_done,
        done.occurred_on as last_done_on,
        chosen.today_on - done.occurred_on as days_since,
        {% for unit in ['hours', 'cycles'] -%}
            coalesce(
                {{ unit }}_counted.counter - done.{{ unit }},
                case
                    when utilised.first_day_on <= done.occurred_on + 1
                        then utilised.{{ unit }}_to_date - coalesce(flown.{{ unit }}_to_date, 0)
                end
            ) as {{ unit }}_since,
            {{ unit }}_counted.counter as total_{{ unit }},
        {% endfor -%}
        rates.hours_per_day,
        rates.cycles_per_day,
        utilised.exposure_source,
        greatest(utilised.last_day_on, hours_counted.occurred_on, cycles_counted.occurred_on) as known_through_on
    from chosen
    left join done on chosen.airframe = done.airframe and chosen.task = done.task
    left join utilised on chosen.airframe = utilised.airframe
    left join rates on chosen.airframe = rates.airframe
    left join hours_counted on chosen.airframe = hours_counted.airframe
    left join cycles_counted on chosen.airframe = cycles_counted.airframe
    left join lateral (
        select
            daily.hours_to_date,
            daily.cycles_to_date
        from {{ ref('int_reliability__exposure_daily') }} as daily
        where daily.airframe = chosen.airframe and daily.day_on <= done.occurred_on
        order by daily.day_on desc
        limit 1
    ) as flown on true
),

-- What is left of each limit. Of a bulletin that was done nothing is due.
left_over as (
    select
        *,
        case
            when kind = 'task' then interval_hours - hours_since
            when not is_done then due_hours - total_hours
        end as hours_to_go,
        case
            when kind = 'task' then interval_cycles - cycles_since
            when not is_done then due_cycles - total_cycles
        end as cycles_to_go,
        case
            when kind = 'task' then interval_days - days_since
            when not is_done then due_on - today_on
        end as days_to_go,
        coalesce(interval_hours, due_hours) is not null as has_hours,
        coalesce(interval_cycles, due_cycles) is not null as has_cycles,
        coalesce(interval_days, due_on - today_on) is not null as has_days
    from since
),

forecast as (
    select
        *,
        known_through_on + floor(hours_to_go / nullif(hours_per_day, 0))::integer as hours_on,
        known_through_on + floor(cycles_to_go / nullif(cycles_per_day, 0))::integer as cycles_on,
        today_on + days_to_go as days_on,
        case
            when is_done then 'done'
            when not (has_hours or has_cycles or has_days) then 'no_limit'
            when kind = 'task' and last_done_on is null then 'never_recorded'
            when has_hours and hours_to_go is null then 'hours_unknown'
            when has_cycles and cycles_to_go is null then 'cycles_unknown'
            when has_hours and coalesce(hours_per_day, 0) = 0 then 'utilisation_unknown'
            when has_cycles and coalesce(cycles_per_day, 0) = 0 then 'utilisation_unknown'
        end as forecast_reason
    from left_over
)

select
    icao24,
    airframe,
    fleet,
    task,
    kind,
    description,
    last_done_on,
    hours_since,
    cycles_since,
    days_since,
    hours_to_go,
    cycles_to_go,
    days_to_go,
    hours_per_day,
    cycles_per_day,
    exposure_source,
    known_through_on,
    -- Where one limit cannot be told, none can be said to be the first.
    case when forecast_reason is null then least(hours_on, cycles_on, days_on) end as forecast_on,
    case
        when forecast_reason is not null then null
        when hours_on = least(hours_on, cycles_on, days_on) then 'hours'
        when cycles_on = least(hours_on, cycles_on, days_on) then 'cycles'
        else 'days'
    end as first_limit,
    forecast_reason,
    case
        when is_done then 'done'
        when least(hours_to_go, cycles_to_go, days_to_go) < 0 then 'overdue'
        when forecast_reason is null then 'open'
        else 'unknown'
    end as due_status
from forecast
