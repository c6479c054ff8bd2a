{{ config(
    indexes=[{'columns': ['airport', 'ring_nm', 'source', 'month']}],
    post_hook='analyze {{ this }}'
) }}

with arrivals as (
    select * from {{ ref('int_arrivals__screened') }}
    where exclusion_reason is null and reference_runway is not null
),

-- Only the months that have arrivals to measure.
months as (
    select distinct
        source,
        airport,
        ring_nm,
        sector,
        reference_runway,
        landing_month as month
    from arrivals
),

percentiles as (
    select
        months.source,
        months.airport,
        months.ring_nm,
        months.sector,
        months.reference_runway,
        months.month,
        percentile_cont(0.05) within group (order by arrivals.transit_min) as percentile_min,
        count(*) as flight_count
    from months
    inner join arrivals
        on
            months.source = arrivals.source
            and months.airport = arrivals.airport
            and months.ring_nm = arrivals.ring_nm
            and months.sector = arrivals.sector
            and months.reference_runway = arrivals.reference_runway
            and arrivals.landing_month > months.month - interval '12 months'
            and months.month >= arrivals.landing_month
    group by
        months.source,
        months.airport,
        months.ring_nm,
        months.sector,
        months.reference_runway,
        months.month
),

-- Flights at the percentile itself count, so ties can make them more than a twentieth.
supported as (
    select
        percentiles.*,
        fastest.flight_count as at_or_below_count
    from percentiles
    cross join lateral (
        select count(*) as flight_count
        from arrivals
        where
            arrivals.source = percentiles.source
            and arrivals.airport = percentiles.airport
            and arrivals.ring_nm = percentiles.ring_nm
            and arrivals.sector = percentiles.sector
            and arrivals.reference_runway = percentiles.reference_runway
            and arrivals.landing_month > percentiles.month - interval '12 months'
            and arrivals.landing_month <= percentiles.month
            and arrivals.transit_min <= percentiles.percentile_min
    ) as fastest
)

select
    source,
    airport,
    ring_nm,
    sector,
    reference_runway,
    month,
    percentile_min,
    flight_count,
    at_or_below_count,
    at_or_below_count >= 20 as is_valid
from supported
