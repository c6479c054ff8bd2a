{#-
The aggregates of additional ASMA time over the rows of fct_arrivals in a group. Times are of the arrivals that
no rule excludes; reference and additional time of those among them that have a reference.
-#}
{%- macro asma_aggregates() -%}
count(*) as arrival_count,
    count(*) filter (where exclusion_reason = 'transit_over_120_min') as excluded_over_120_min_count,
    count(*) filter (where exclusion_reason = 'helicopter') as excluded_helicopter_count,
    count(*) filter (where exclusion_reason = 'night_landing') as excluded_night_count,
    count(*) filter (where exclusion_reason = 'local_time_unknown') as excluded_local_time_unknown_count,
    count(*) filter (where exclusion_reason is null) as counted_count,
    count(reference_min) as with_reference_count,
    1 - count(reference_min)::double precision / nullif(count(*) filter (where exclusion_reason is null), 0)
        as without_reference_share,
    avg(transit_min) filter (where exclusion_reason is null) as mean_transit_min,
    percentile_cont(0.9) within group (order by transit_min) filter (where exclusion_reason is null)
        as p90_transit_min,
    avg(reference_min) as mean_reference_min,
    avg(additional_min) as mean_additional_min,
    percentile_cont(0.9) within group (order by additional_min) as p90_additional_min
{%- endmacro -%}

{#- Whether an arrival is of a group, and in the twelve months that end with the group's month. -#}
{%- macro asma_look_back(arrivals, groups) -%}
{%- for column in ['source', 'airport', 'ring_nm', 'sector', 'reference_runway'] -%}
{{ arrivals }}.{{ column }} = {{ groups }}.{{ column }}
and {% endfor -%}
{{ arrivals }}.landing_month between ({{ groups }}.month - interval '11 months')::date and {{ groups }}.month
{%- endmacro -%}
