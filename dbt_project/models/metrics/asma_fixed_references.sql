{{ config(tags=['hourly']) }}

with arrivals as (
    select * from {{ ref('int_arrivals__asma_classed') }}
    where exclusion_reason is null
),

bases as (
    select
        source,
        airport,
        {% if asma_reference_year() -%}
            {{ asma_reference_year() }}
        {%- else -%}
            min(landing_year)
        {%- endif %} as reference_year
    from arrivals
    group by source, airport
),

of_the_year as (
    select arrivals.*
    from arrivals
    inner join bases
        on
            arrivals.source = bases.source
            and arrivals.airport = bases.airport
            and arrivals.landing_year = bases.reference_year
),

days as (
    select
        source,
        airport,
        count(distinct day)::integer as year_day_count,
        min(day) as first_day,
        max(day) as last_day
    from of_the_year
    group by source, airport
),

-- Each arrival counts in its class, and in all classes together.
cells as (
    select
        of_the_year.source,
        of_the_year.airport,
        of_the_year.landing_year as reference_year,
        classes.aircraft_class,
        of_the_year.runway,
        of_the_year.sector,
        count(*) as arrival_count,
        percentile_cont(0.2) within group (order by of_the_year.transit_min) as percentile_min
    from of_the_year
    cross join lateral (values (of_the_year.aircraft_class), ('all')) as classes (aircraft_class)
    where
        classes.aircraft_class is not null
        and of_the_year.runway is not null
        and of_the_year.sector is not null
    group by
        of_the_year.source, of_the_year.airport, of_the_year.landing_year, classes.aircraft_class, of_the_year.runway,
        of_the_year.sector
)

select
    cells.source,
    cells.airport,
    cells.aircraft_class,
    cells.runway,
    cells.sector,
    cells.reference_year,
    cells.arrival_count,
    case when cells.arrival_count >= {{ asma_fixed_minimum() }} then cells.percentile_min end as percentile_min,
    case when cells.arrival_count < {{ asma_fixed_minimum() }} then 'fewer_than_{{ asma_fixed_minimum() }}_arrivals' end
        as reason,
    days.year_day_count,
    days.first_day,
    days.last_day,
    days.year_day_count || ' of '
    || (make_date(cells.reference_year + 1, 1, 1) - make_date(cells.reference_year, 1, 1))
    || ' days of ' || cells.reference_year || ', ' || days.first_day || ' to ' || days.last_day as basis
from cells
inner join days
    on
        cells.source = days.source
        and cells.airport = days.airport
