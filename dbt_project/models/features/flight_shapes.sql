{{ config(
    materialized='rebuilt',
    tags=['hourly'],
    meta={'time': 'first_seen_at', 'since': 'flight_from_at'},
    indexes=[
        {'columns': ['icao24', 'first_seen_at'], 'unique': true},
        {'columns': ['last_seen_at']},
    ]
) }}

{#- Lower than this above the nearest field is low: circuits, and the last ten kilometres of an approach. -#}
{%- set low_m = 600 -%}
{#- A smaller bend of ten seconds is within what two positions are off by. -#}
{%- set least_turn_deg = 5 -%}
{#- Cells of 5.6 km; who comes back to one after this time has been elsewhere, also at the speed of a helicopter. -#}
{%- set cells_per_deg = 20 -%}
{%- set elsewhere = "interval '3 minutes'" -%}
{#- Who was heard less than this shows too little of its way. -#}
{%- set least_heard_min = 10 -%}
{%- set least_heard_share = 0.5 -%}
{#- What is judged, and how it is told from the columns of `heard`. -#}
{%- set shapes = {
    'direct_share': 'least(direct_km / flown_km, 1)',
    'returned_km': 'farthest_km - direct_km',
    'made_good_mps': 'direct_km * 1000 / (flown_min * 60)',
    'turned_deg': 'coalesce(turned_deg, 0)',
    'circle_count': 'circle_count',
    'revisit_count': 'revisit_count::integer',
    'mean_height_m': 'mean_height_m',
    'height_spread_m': 'height_spread_m',
    'mean_speed_mps': 'mean_speed_mps',
    'speed_spread_mps': 'speed_spread_mps',
    'level_share': 'level_share',
    'low_min': 'low_min::integer',
    'undulation_m': 'undulation_m',
    'discontinued_count': 'discontinued_count',
} -%}

with flights as (
    select
        *,
        -- What is sent before the take-off and after the landing is not flown: parked aircraft send wild altitudes.
        coalesce(departed_at, '-infinity') as flown_from_at,
        coalesce(arrived_at, 'infinity') as flown_through_at
    from {{ ref('fct_flights') }}
    {{ join_changes('fct_flights', 'first_seen_at', since='flight_from_at') }}
    where
        status in ('landed', 'lost')
        and departure_airport_reason <> 'never_airborne'
),

steps as (
    select
        fixes.icao24,
        fixes.flight_id,
        fixes.positioned_at,
        fixes.latitude_deg,
        fixes.longitude_deg,
        extract(epoch from fixes.positioned_at - lag(fixes.positioned_at) over by_flight)::double precision as step_s,
        {{ distance_m(
            'lag(fixes.latitude_deg) over by_flight',
            'lag(fixes.longitude_deg) over by_flight',
            'fixes.latitude_deg',
            'fixes.longitude_deg',
        ) }} as step_m,
        {{ bearing_deg(
            'lag(fixes.latitude_deg) over by_flight',
            'lag(fixes.longitude_deg) over by_flight',
            'fixes.latitude_deg',
            'fixes.longitude_deg',
        ) }} as course_deg,
        {{ distance_m(
            'first_value(fixes.latitude_deg) over by_flight',
            'first_value(fixes.longitude_deg) over by_flight',
            'fixes.latitude_deg',
            'fixes.longitude_deg',
        ) }} as from_start_m,
        coalesce(
            fixes.positioned_at - lag(fixes.positioned_at) over by_cell >= {{ elsewhere }}, false
        ) as is_revisit
    from {{ ref('int_positions__sampled_10s') }} as fixes
    inner join flights
        on
            fixes.icao24 = flights.icao24
            and fixes.flight_id = flights.flight_id
            and fixes.positioned_at between flights.flown_from_at and flights.flown_through_at
    {{ join_changes('fixes', 'positioned_at', since='flight_from_at') }}
    window
        by_flight as (partition by fixes.icao24, fixes.flight_id order by fixes.positioned_at),
        by_cell as (
            partition by
                fixes.icao24,
                fixes.flight_id,
                floor(fixes.latitude_deg * {{ cells_per_deg }}),
                floor(fixes.longitude_deg * cosd(fixes.latitude_deg) * {{ cells_per_deg }})
            order by fixes.positioned_at
        )
),

bends as (
    select
        *,
        {{ bend_deg() }} as bend_deg,
        (step_s + lag(step_s) over by_flight) / 2 as bend_s
    from steps
    window by_flight as (partition by icao24, flight_id order by positioned_at)
),

turns as (
    select
        *,
        {{ turn_deg() }} as turn_deg
    from bends
),

-- Right turns add up, left turns take off: who circles goes on to one side.
headed as (
    select
        *,
        sum(turn_deg) over (partition by icao24, flight_id order by positioned_at) as turned_deg
    from turns
),

ways as (
    select
        icao24,
        flight_id,
        sum(step_m order by positioned_at) as flown_m,
        max(from_start_m) as farthest_m,
        (array_agg(from_start_m order by positioned_at desc))[1] as direct_m,
        sum(abs(turn_deg) order by positioned_at) filter (where abs(turn_deg) >= {{ least_turn_deg }}) as turned_deg,
        (max(turned_deg) - min(turned_deg)) / 360 as circle_count,
        count(*) filter (where is_revisit) as revisit_count
    from headed
    group by icao24, flight_id
),

minutes as (
    select
        samples.*,
        lag(samples.altitude_m) over by_flight as altitude_before_m
    from {{ ref('int_positions__sampled_1m') }} as samples
    inner join flights
        on
            samples.icao24 = flights.icao24
            and samples.flight_id = flights.flight_id
            and samples.positioned_at between flights.flown_from_at and flights.flown_through_at
    {{ join_changes('samples', 'positioned_at', since='flight_from_at') }}
    where samples.phase <> 'GROUND'
    window by_flight as (partition by samples.icao24, samples.flight_id order by samples.positioned_at)
),

levels as (
    select
        icao24,
        flight_id,
        min(positioned_at) as from_at,
        max(positioned_at) as through_at,
        count(*) as heard_min,
        avg(height_m order by positioned_at) as mean_height_m,
        stddev_pop(height_m order by positioned_at) as height_spread_m,
        avg(ground_speed_mps order by positioned_at) as mean_speed_mps,
        stddev_pop(ground_speed_mps order by positioned_at) as speed_spread_mps,
        count(*) filter (where phase in ('LEVEL', 'CRUISE'))::double precision
        / nullif(count(*) filter (where phase <> 'UNKNOWN'), 0) as level_share,
        case when count(height_m) > 0 then count(*) filter (where height_m < {{ low_m }}) end as low_min,
        sum(greatest(altitude_m - altitude_before_m, 0) order by positioned_at) as climbed_m,
        sum(greatest(altitude_before_m - altitude_m, 0) order by positioned_at) as descended_m,
        max(altitude_m) as highest_m,
        (array_agg(altitude_m order by positioned_at asc) filter (where altitude_m is not null))[1] as first_m,
        (array_agg(altitude_m order by positioned_at desc) filter (where altitude_m is not null))[1] as last_m
    from minutes
    group by icao24, flight_id
),

discontinued as (
    select
        icao24,
        flight_id,
        count(*) as discontinued_count
    from {{ ref('fct_movements') }}
    {{ join_changes('fct_movements', 'last_fix_at', since='flight_from_at') }}
    where movement in ('go_around', 'touch_and_go')
    group by icao24, flight_id
),

described as (
    select
        flights.icao24,
        flights.flight_id,
        flights.first_seen_at,
        flights.last_seen_at,
        flights.departure_airport is not null as is_departure_known,
        flights.arrival_airport is not null as is_arrival_known,
        coalesce(levels.heard_min, 0)::integer as heard_min,
        extract(epoch from levels.through_at - levels.from_at)::double precision / 60 as flown_min,
        ways.flown_m / 1000 as flown_km,
        ways.direct_m / 1000 as direct_km,
        ways.farthest_m / 1000 as farthest_km,
        ways.turned_deg,
        ways.circle_count,
        ways.revisit_count,
        levels.mean_height_m,
        levels.height_spread_m,
        levels.mean_speed_mps,
        levels.speed_spread_mps,
        levels.level_share,
        levels.low_min,
        -- What one climb to the highest level and one descent from it do not explain.
        greatest(
            levels.climbed_m + levels.descended_m - (2 * levels.highest_m - levels.first_m - levels.last_m), 0
        ) as undulation_m,
        coalesce(discontinued.discontinued_count, 0)::integer as discontinued_count
    from flights
    left join ways on flights.icao24 = ways.icao24 and flights.flight_id = ways.flight_id
    left join levels on flights.icao24 = levels.icao24 and flights.flight_id = levels.flight_id
    left join discontinued
        on flights.icao24 = discontinued.icao24 and flights.flight_id = discontinued.flight_id
),

heard as (
    select
        *,
        case
            when heard_min < {{ least_heard_min }} or flown_km is null then 'too_short'
            -- A sample a minute: both ends count.
            when heard_min < {{ least_heard_share }} * (flown_min + 1) then 'hardly_heard'
            when flown_km < 1 then 'hardly_moved'
        end as unjudged_reason
    from described
)

select
    icao24,
    flight_id,
    first_seen_at,
    last_seen_at,
    last_seen_at + {{ max_gap() }} as known_at,
    is_departure_known,
    is_arrival_known,
    unjudged_reason,
    {% for name, value in shapes.items() -%}
        case when unjudged_reason is null then {{ value }} end as {{ name }},
    {% endfor -%}
    heard_min,
    flown_min,
    flown_km,
    direct_km
from heard
