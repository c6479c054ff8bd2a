{{ config(tags=['hourly']) }}

with months as (
    select
        source,
        airport,
        date_trunc('month', day)::date as month,
        {% for count in asma_fixed_counts() -%}
            sum({{ count }})::bigint as {{ count }},
        {% endfor -%}
        sum(total_transit_min) as total_transit_min,
        sum(total_unimpeded_min) as total_unimpeded_min,
        min(reference_year) as reference_year,
        min(reference_basis) as reference_basis
    from {{ ref('asma_fixed_daily') }}
    group by source, airport, date_trunc('month', day)
)

select
    months.source,
    months.airport,
    months.month,
    {{ asma_fixed_figures('months') }},
    months.reference_year,
    months.reference_basis
from months
