{{ config(materialized='table', tags=['hourly']) }}

with landings as (
    select
        airport,
        movement_id,
        moved_at,
        known_at,
        runway_direction,
        runway_direction::integer * 10 as direction_deg
    from {{ ref('fct_movements') }}
    where
        movement in ('landing', 'touch_and_go')
        and label_quality <> 'provisional'
        -- One without a direction tells nothing, and must not part two that agree.
        and runway_direction is not null
),

neighbours as (
    select
        *,
        lag(direction_deg) over by_airport as previous_deg,
        lead(direction_deg) over by_airport as next_deg,
        lead(known_at) over by_airport as next_known_at
    from landings
    window by_airport as (partition by airport order by moved_at, movement_id)
),

-- Parallel runways, and those that nearly are, count as one direction. A landing that neither the one
-- before nor the one after agrees with tells of no change.
agreed as (
    select *
    from neighbours
    where
        coalesce({{ angle_between_deg('direction_deg', 'previous_deg') }} <= 30, false)
        or coalesce({{ angle_between_deg('direction_deg', 'next_deg') }} <= 30, false)
),

compared as (
    select
        *,
        coalesce(
            {{ angle_between_deg(
                'direction_deg',
                'lag(direction_deg) over by_airport',
            ) }} > 30,
            true
        ) as is_first
    from agreed
    window by_airport as (partition by airport order by moved_at, movement_id)
),

numbered as (
    select
        *,
        count(*) filter (where is_first) over (
            partition by airport
            order by moved_at, movement_id
        ) as period_number
    from compared
),

starts as (
    select
        airport,
        period_number,
        moved_at as started_at,
        direction_deg,
        -- The second landing confirms the first one.
        greatest(known_at, next_known_at) as known_at,
        lead(moved_at, 1, 'infinity') over (partition by airport order by moved_at) as until_at
    from numbered
    where is_first
),

-- What lands the other way meanwhile is no evidence.
periods as (
    select
        starts.airport,
        starts.period_number,
        starts.known_at,
        mode() within group (order by landings.runway_direction) as runway_direction,
        min(landings.moved_at) as first_landing_at,
        max(landings.moved_at) as last_landing_at,
        count(*) as landing_count
    from starts
    inner join landings
        on
            starts.airport = landings.airport
            and starts.started_at <= landings.moved_at
            and starts.until_at > landings.moved_at
            and {{ angle_between_deg('landings.direction_deg', 'starts.direction_deg') }} <= 30
    group by starts.airport, starts.period_number, starts.known_at
),

changes as (
    select
        *,
        lag(runway_direction) over by_airport as from_direction,
        lag(first_landing_at) over by_airport as from_first_at,
        lag(last_landing_at) over by_airport as from_last_at,
        lag(landing_count) over by_airport as landings_before_count
    from periods
    window by_airport as (partition by airport order by period_number)
),

takeoffs as (
    select
        airport,
        moved_at,
        runway_direction::integer * 10 as direction_deg
    from {{ ref('fct_movements') }}
    where movement = 'takeoff'
),

departed as (
    select
        changes.airport,
        changes.first_landing_at,
        count(*) filter (
            where
            takeoffs.moved_at between changes.from_first_at and changes.first_landing_at
            and {{ angle_between_deg('takeoffs.direction_deg', 'changes.from_direction::integer * 10') }} <= 30
        ) as takeoffs_before_count,
        count(*) filter (
            where
            takeoffs.moved_at between changes.from_last_at and changes.last_landing_at
            and {{ angle_between_deg('takeoffs.direction_deg', 'changes.runway_direction::integer * 10') }} <= 30
        ) as takeoffs_after_count,
        min(takeoffs.moved_at) filter (
            where
            takeoffs.moved_at between changes.from_last_at and changes.last_landing_at
            and {{ angle_between_deg('takeoffs.direction_deg', 'changes.runway_direction::integer * 10') }} <= 30
        ) as first_takeoff_at
    from changes
    inner join takeoffs on changes.airport = takeoffs.airport
    where changes.from_direction is not null
    group by changes.airport, changes.first_landing_at
)

select
    changes.airport || '_' || {{ stamp('changes.first_landing_at') }}
        as change_id,
    changes.airport,
    changes.first_landing_at as changed_at,
    changes.from_direction,
    changes.runway_direction as to_direction,
    changes.from_last_at as last_landing_before_at,
    departed.first_takeoff_at,
    changes.landings_before_count,
    changes.landing_count as landings_after_count,
    coalesce(departed.takeoffs_before_count, 0) as takeoffs_before_count,
    coalesce(departed.takeoffs_after_count, 0) as takeoffs_after_count,
    changes.known_at
from changes
left join departed
    on
        changes.airport = departed.airport
        and changes.first_landing_at = departed.first_landing_at
where changes.from_direction is not null
