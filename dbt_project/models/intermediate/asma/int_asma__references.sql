-- Not materialized: each look-back below is then a short range of the table's index. Kept as a whole it
-- would be read once a month and group.
with arrivals as not materialized (
    select * from {{ ref('int_arrivals__asma_eligibility') }}
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
        months.*,
        looked_back.percentile_min,
        looked_back.flight_count
    from months
    cross join lateral (
        select
            percentile_cont(0.05) within group (order by arrivals.transit_min) as percentile_min,
            count(*) as flight_count
        from arrivals
        where
            {{ asma_look_back('arrivals', 'months') }}
    ) as looked_back
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
            {{ asma_look_back('arrivals', 'percentiles') }}
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
