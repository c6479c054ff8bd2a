{#- Simulated in tests/unit/test_alert_rule.py; docs/decisions/reliability.md says why it is this much. -#}
{%- set alert_sd = 3.25 -%}

{{ config(
    indexes=[{'columns': ['week_on', 'fleet', 'ata_chapter', 'part_number'], 'unique': true}]
) }}

with parts_chapters as (
    select
        part_number,
        mode() within group (order by left(jasc_code, 2)) as ata_chapter
    from {{ ref('stg_operator__maintenance_events') }}
    where part_number is not null and jasc_code is not null
    group by part_number
),

-- The catalogue says which chapter a part is of; without it, the reports on the part.
chapters as (
    select
        coalesce(parts.part_number, parts_chapters.part_number) as part_number,
        coalesce(left(parts.jasc_code, 2), parts_chapters.ata_chapter) as ata_chapter
    from {{ ref('stg_operator__parts') }} as parts
    full join parts_chapters on parts.part_number = parts_chapters.part_number
),

configurations as (
    select
        airframe,
        part_number,
        quantity,
        fitted_from_on,
        coalesce(fitted_until_on, 'infinity') as fitted_until_on
    from {{ ref('stg_operator__configurations') }}
),

flown_parts as (
    select
        exposure.fleet,
        configurations.part_number,
        exposure.week_on,
        -- In the week of a change, by days.
        sum(exposure.flight_hours * configurations.quantity * (
            least(exposure.week_on + 7, configurations.fitted_until_on)
            - greatest(exposure.week_on, configurations.fitted_from_on)
        ) / 7.0::double precision) as unit_hours
    from {{ ref('int_reliability__exposure_weekly') }} as exposure
    inner join configurations
        on
            exposure.airframe = configurations.airframe
            and configurations.fitted_from_on < exposure.week_on + 7
            and exposure.week_on < configurations.fitted_until_on
    group by exposure.fleet, configurations.part_number, exposure.week_on
),

fitted as (
    select
        flown_parts.fleet,
        coalesce(chapters.ata_chapter, 'unknown') as ata_chapter,
        flown_parts.part_number,
        flown_parts.week_on,
        flown_parts.unit_hours
    from flown_parts
    left join chapters on flown_parts.part_number = chapters.part_number
),

unit_hours as (
    select * from fitted
    union all
    select
        fleet,
        ata_chapter,
        '' as part_number,
        week_on,
        sum(unit_hours) as unit_hours
    from fitted
    group by fleet, ata_chapter, week_on
),

configured as (
    select distinct
        airframe,
        part_number
    from configurations
),

events as (
    select
        coalesce(airframes.fleet, found.aircraft_model, 'unknown') as fleet,
        configured.part_number is not null as has_quantity,
        coalesce(chapters.ata_chapter, left(found.jasc_code, 2), 'unknown') as ata_chapter,
        found.part_number,
        date_trunc('week', found.occurred_on)::date as week_on,
        -- Who does a task of the programme does what was planned, whether the report says so or not.
        not coalesce(found.is_scheduled, found.task is not null) as is_unscheduled,
        coalesce(found.is_removal, false) as is_removal,
        found.is_confirmed
    from {{ ref('stg_operator__maintenance_events') }} as found
    left join {{ ref('int_reliability__airframes') }} as airframes on found.airframe = airframes.airframe
    left join chapters on found.part_number = chapters.part_number
    left join configured on found.airframe = configured.airframe and found.part_number = configured.part_number
),

-- Parts that were removed or failed, or are configured; a part that reports only mention has no series.
followed as (
    select
        fleet,
        part_number
    from fitted
    union
    select
        fleet,
        part_number
    from events
    where part_number is not null and (is_removal or is_confirmed)
),

counted_events as (
    select
        events.*,
        '' as series_part_number
    from events
    union all
    select
        events.*,
        events.part_number as series_part_number
    from events
    inner join followed on events.fleet = followed.fleet and events.part_number = followed.part_number
),

counts as (
    select
        fleet,
        ata_chapter,
        series_part_number as part_number,
        week_on,
        count(*) as event_count,
        count(*) filter (where is_unscheduled) as unscheduled_event_count,
        count(*) filter (where is_removal) as removal_count,
        count(*) filter (where is_removal and is_unscheduled) as unscheduled_removal_count,
        count(*) filter (where is_confirmed) as failure_count,
        count(*) filter (where is_removal and is_unscheduled and is_confirmed is null) as unjudged_count,
        count(*) filter (where is_removal and is_unscheduled and not has_quantity) as unfitted_removal_count,
        count(*) filter (where is_confirmed and not has_quantity) as unfitted_failure_count
    from counted_events
    group by fleet, ata_chapter, series_part_number, week_on
),

exposure as (
    select
        fleet,
        week_on,
        sum(flight_hours) as flight_hours,
        sum(cycles) as cycles,
        case when min(exposure_source) = max(exposure_source) then min(exposure_source) else 'both' end
            as exposure_source,
        sum(coverage_share * flight_hours) / nullif(sum(flight_hours) filter (where coverage_share is not null), 0)
            as coverage_share
    from {{ ref('int_reliability__exposure_weekly') }}
    group by fleet, week_on
),

spans as (
    select
        fleet,
        min(week_on) as first_week_on,
        max(week_on) as last_week_on
    from (
        select
            fleet,
            week_on
        from exposure
        -- What an operator gives of a month to come is a plan.
        where week_on <= ({{ now_at() }} at time zone 'UTC')::date
        union all
        select
            fleet,
            week_on
        from counts
    ) as known
    group by fleet
),

weeks as (
    select
        spans.fleet,
        shifts.week_count,
        spans.first_week_on + 7 * shifts.week_count as week_on
    from spans
    cross join generate_series(0, (spans.last_week_on - spans.first_week_on) / 7) as shifts (week_count)
),

flown as (
    select
        weeks.fleet,
        weeks.week_on,
        weeks.week_count,
        exposure.flight_hours,
        exposure.cycles,
        exposure.exposure_source,
        exposure.coverage_share
    from weeks
    left join exposure on weeks.fleet = exposure.fleet and weeks.week_on = exposure.week_on
),

all_series as (
    select
        fleet,
        ata_chapter,
        part_number
    from counts
    union
    select
        fleet,
        ata_chapter,
        part_number
    from unit_hours
),

-- Every week has a row, those without an event too. Rows are put together by a group: a join of this many by week is
-- slow wherever Postgres misjudges it, as it does without statistics.
{%- set counted = [
    'event_count', 'unscheduled_event_count', 'removal_count', 'unscheduled_removal_count', 'failure_count',
    'unjudged_count', 'unfitted_removal_count', 'unfitted_failure_count',
] %}
pieces as (
    select
        flown.week_on,
        flown.week_count,
        all_series.fleet,
        all_series.ata_chapter,
        all_series.part_number,
        flown.flight_hours,
        flown.cycles,
        flown.exposure_source,
        flown.coverage_share,
        null::double precision as unit_hours,
    {% for column in counted -%}
        0::bigint as {{ column }}{{ ',' if not loop.last }}
    {% endfor %}
    from all_series
    inner join flown on all_series.fleet = flown.fleet
    union all
    select
        week_on,
        null as week_count,
        fleet,
        ata_chapter,
        part_number,
        null as flight_hours,
        null as cycles,
        null as exposure_source,
        null as coverage_share,
        null as unit_hours,
        {{ counted | join(',\n        ') }}
    from counts
    union all
    select
        unit_hours.week_on,
        null as week_count,
        unit_hours.fleet,
        unit_hours.ata_chapter,
        unit_hours.part_number,
        null as flight_hours,
        null as cycles,
        null as exposure_source,
        null as coverage_share,
        unit_hours.unit_hours,
    {% for column in counted -%}
        0 as {{ column }}{{ ',' if not loop.last }}
    {% endfor %}
    from unit_hours
),

together as (
    select
        week_on,
        fleet,
        ata_chapter,
        part_number,
        max(week_count) as week_count,
        nullif(max(flight_hours), 0) as flight_hours,
        nullif(max(cycles), 0) as cycles,
        max(exposure_source) as exposure_source,
        max(coverage_share) as coverage_share,
        max(unit_hours) as unit_hours,
    {% for column in counted -%}
        sum({{ column }})::bigint as {{ column }}{{ ',' if not loop.last }}
    {% endfor %}
    from pieces
    group by week_on, fleet, ata_chapter, part_number
    -- The operator may have given hours of weeks to come.
    having max(week_count) is not null
),

-- Events of weeks without hours are in no rate.
weekly as (
    select
        *,
        week_count % 4 as week_of_month,
        case when flight_hours > 0 then unscheduled_event_count::integer end as exposed_count,
        case when cycles > 0 then unscheduled_event_count::integer end as cycled_count,
        case when unit_hours > 0 then unscheduled_removal_count::integer end as unit_removal_count,
        case when unit_hours > 0 then failure_count::integer end as unit_failure_count,
        case when flight_hours > 0 then unfitted_removal_count::integer end as exposed_unfitted_removal_count,
        case when flight_hours > 0 then unfitted_failure_count::integer end as exposed_unfitted_failure_count,
        case when flight_hours > 0 then unjudged_count::integer end as exposed_unjudged_count
    from together
),

summed as (
    select
        *,
        sum(exposed_count) {{ over_weeks(52) }} as year_event_count,
        sum(flight_hours) {{ over_weeks(52) }} as year_flight_hours,
        sum(cycled_count) {{ over_weeks(52) }} as year_cycled_count,
        sum(cycles) {{ over_weeks(52) }} as year_cycles,
        sum(unit_hours) {{ over_weeks(52) }} as year_unit_hours,
        sum(unit_removal_count) {{ over_weeks(52) }} as year_removal_count,
        sum(unit_failure_count) {{ over_weeks(52) }} as year_failure_count,
        sum(exposed_unfitted_removal_count) {{ over_weeks(52) }} as year_unfitted_removal_count,
        sum(exposed_unfitted_failure_count) {{ over_weeks(52) }} as year_unfitted_failure_count,
        sum(exposed_unjudged_count) {{ over_weeks(52) }} as year_unjudged_count,
        sum(exposed_count) {{ over_weeks(4) }} as month_count,
        sum(flight_hours) {{ over_weeks(4) }} as month_flight_hours,
        count(flight_hours) {{ over_weeks(4) }} as month_week_count,
        sum(exposed_count) {{ over_weeks(8) }} as two_months_count,
        sum(flight_hours) {{ over_weeks(8) }} as two_months_flight_hours,
        sum(exposed_count) {{ over_weeks(12) }} as three_months_count,
        sum(flight_hours) {{ over_weeks(12) }} as three_months_flight_hours,
        -- The twelve months before these three.
        sum(exposed_count) {{ over_weeks(52, 12) }} as base_count,
        sum(flight_hours) {{ over_weeks(52, 12) }} as base_flight_hours
    from weekly
    window series as (partition by fleet, ata_chapter, part_number order by week_on)
),

months as (
    select
        *,
        case when month_week_count = 4 then 1000 * month_count / month_flight_hours end as month_rate
    from summed
),

levelled as (
    select
        *,
        lag(month_rate, 1) over months as former_month_rate,
        avg(month_rate) over base as base_mean,
        stddev_samp(month_rate) over base as base_sd,
        count(month_rate) over base + count(month_rate) over tested as known_month_count
    from months
    window
        months as (partition by fleet, ata_chapter, part_number, week_of_month order by week_on),
        base as (months rows between 15 preceding and 3 preceding),
        tested as (months rows between 2 preceding and current row)
),

judged as (
    select
        *,
        case
            when month_rate is null then 'no_exposure'
            when known_month_count < 16 then 'less_than_16_months'
        end as alert_reason,
        {{ excess_sd('two_months_count', 'base_count', 'two_months_flight_hours / base_flight_hours') }}
            as excess_2m_sd,
        {{ excess_sd('three_months_count', 'base_count', 'three_months_flight_hours / base_flight_hours') }}
            as excess_3m_sd
    from levelled
),

-- Hours are often given when the month is over: what is told of now is of the latest week that has levels.
dated as (
    select
        *,
        alert_reason is null
        and week_on > max(week_on) over () - 91
        and week_on = max(week_on) filter (where alert_reason is null)
            over (partition by fleet, ata_chapter, part_number)
            as is_current
    from judged
),

reasoned as (
    select
        *,
        case
            when year_flight_hours is null then 'no_exposure'
            when year_unit_hours is null then 'no_quantity'
            when year_unfitted_removal_count > 0 then 'no_quantity_of_some'
        end as unit_removal_reason,
        case
            when year_flight_hours is null then 'no_exposure'
            when year_unit_hours is null then 'no_quantity'
            when year_unfitted_failure_count > 0 then 'no_quantity_of_some'
            when year_unjudged_count > 0 then 'not_confirmed'
        end as unit_failure_reason
    from dated
),

limited as (
    select
        counts.event_count,
        {{ poisson_low('counts.event_count') }} as low,
        {{ poisson_high('counts.event_count') }} as high
    from (
        select year_event_count as event_count from summed
        union
        select year_cycled_count as event_count from summed
        union
        select year_removal_count as event_count from summed
        union
        select year_failure_count as event_count from summed
    ) as counts
    where counts.event_count is not null
)

select
    reasoned.week_on,
    reasoned.fleet,
    reasoned.ata_chapter,
    reasoned.part_number,
    reasoned.event_count,
    reasoned.unscheduled_event_count,
    reasoned.removal_count,
    reasoned.unscheduled_removal_count,
    reasoned.failure_count,
    reasoned.flight_hours,
    reasoned.cycles,
    reasoned.exposure_source,
    reasoned.coverage_share,
    reasoned.unit_hours,
    reasoned.year_event_count,
    reasoned.year_flight_hours,
    reasoned.year_cycles,
    1000 * reasoned.year_event_count / reasoned.year_flight_hours as rate_per_1000_hours,
    1000 * of_events.low / reasoned.year_flight_hours as rate_per_1000_hours_low,
    1000 * of_events.high / reasoned.year_flight_hours as rate_per_1000_hours_high,
    100 * reasoned.year_cycled_count / reasoned.year_cycles as rate_per_100_cycles,
    100 * of_cycled.low / reasoned.year_cycles as rate_per_100_cycles_low,
    100 * of_cycled.high / reasoned.year_cycles as rate_per_100_cycles_high,
    case when reasoned.year_flight_hours is null then 'no_exposure' end as rate_reason,
    reasoned.year_unit_hours,
    reasoned.year_removal_count,
    case
        when reasoned.unit_removal_reason is null
            then reasoned.year_unit_hours / nullif(reasoned.year_removal_count, 0)
    end as mtbur_h,
    case when reasoned.unit_removal_reason is null then reasoned.year_unit_hours / of_removals.high end as mtbur_low_h,
    case when reasoned.unit_removal_reason is null then reasoned.year_unit_hours / nullif(of_removals.low, 0) end
        as mtbur_high_h,
    coalesce(
        reasoned.unit_removal_reason, case when reasoned.year_removal_count = 0 then 'no_removals' end
    ) as mtbur_reason,
    reasoned.year_failure_count,
    case
        when reasoned.unit_failure_reason is null
            then reasoned.year_unit_hours / nullif(reasoned.year_failure_count, 0)
    end as mtbf_h,
    case when reasoned.unit_failure_reason is null then reasoned.year_unit_hours / of_failures.high end as mtbf_low_h,
    case when reasoned.unit_failure_reason is null then reasoned.year_unit_hours / nullif(of_failures.low, 0) end
        as mtbf_high_h,
    coalesce(
        reasoned.unit_failure_reason, case when reasoned.year_failure_count = 0 then 'no_failures' end
    ) as mtbf_reason,
    reasoned.month_rate as month_rate_per_1000_hours,
    case when reasoned.alert_reason is null then reasoned.base_mean end as level_mean_per_1000_hours,
    case when reasoned.alert_reason is null then reasoned.base_mean + 2 * reasoned.base_sd end
        as level_2sd_per_1000_hours,
    case when reasoned.alert_reason is null then reasoned.base_mean + 3 * reasoned.base_sd end
        as level_3sd_per_1000_hours,
    case when reasoned.alert_reason is null then reasoned.excess_3m_sd end as excess_sd,
    case
        when reasoned.alert_reason is not null then null
        when reasoned.excess_3m_sd >= 2 then 'rising'
        when reasoned.excess_3m_sd <= -2 then 'falling'
        else 'steady'
    end as trend,
    case
        when reasoned.alert_reason is not null then null
        when
            reasoned.excess_3m_sd >= {{ alert_sd }}
            or (
                reasoned.excess_2m_sd >= {{ alert_sd }}
                and least(reasoned.month_rate, reasoned.former_month_rate) > reasoned.base_mean + 3 * reasoned.base_sd
            )
            then 'alert'
        when reasoned.month_rate > reasoned.base_mean + 3 * reasoned.base_sd then 'above_3_sd'
        when reasoned.month_rate > reasoned.base_mean + 2 * reasoned.base_sd then 'above_2_sd'
        else 'normal'
    end as alert_level,
    reasoned.alert_reason,
    coalesce(reasoned.is_current, false) as is_current
from reasoned
left join limited as of_events on reasoned.year_event_count = of_events.event_count
left join limited as of_cycled on reasoned.year_cycled_count = of_cycled.event_count
left join limited as of_removals on reasoned.year_removal_count = of_removals.event_count
left join limited as of_failures on reasoned.year_failure_count = of_failures.event_count
