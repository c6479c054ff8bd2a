{{ config(tags=['hourly']) }}

with arrivals as (
    select * from {{ ref('int_arrivals__asma_classed') }}
),

valid_references as (
    select * from {{ ref('asma_fixed_references') }}
    where percentile_min is not null
),

bases as (
    select distinct
        source,
        airport,
        reference_year,
        basis
    from {{ ref('asma_fixed_references') }}
),

measured as (
    select
        arrivals.*,
        of_class.percentile_min is not null and arrivals.exclusion_reason is null as is_of_class,
        case when arrivals.exclusion_reason is null then coalesce(of_class.percentile_min, of_all.percentile_min) end
            as unimpeded_min
    from arrivals
    left join valid_references as of_class
        on
            arrivals.source = of_class.source
            and arrivals.airport = of_class.airport
            and arrivals.aircraft_class = of_class.aircraft_class
            and arrivals.runway = of_class.runway
            and arrivals.sector = of_class.sector
    left join valid_references as of_all
        on
            arrivals.source = of_all.source
            and arrivals.airport = of_all.airport
            and of_all.aircraft_class = 'all'
            and arrivals.runway = of_all.runway
            and arrivals.sector = of_all.sector
),

days as (
    select
        source,
        airport,
        day,
        count(*) as arrival_count,
        count(*) filter (where exclusion_reason = 'transit_over_120_min') as excluded_over_120_min_count,
        count(*) filter (where exclusion_reason = 'helicopter') as excluded_helicopter_count,
        count(*) filter (where exclusion_reason is null) as counted_count,
        count(unimpeded_min) as with_reference_count,
        count(*) filter (where is_of_class) as class_reference_count,
        count(*) filter (where exclusion_reason is null and runway is null) as runway_unknown_count,
        sum(transit_min) filter (where unimpeded_min is not null) as total_transit_min,
        sum(unimpeded_min) as total_unimpeded_min
    from measured
    group by source, airport, day
)

select
    days.source,
    days.airport,
    days.day,
    {{ asma_fixed_figures('days') }},
    bases.reference_year,
    bases.basis as reference_basis
from days
left join bases
    on
        days.source = bases.source
        and days.airport = bases.airport
