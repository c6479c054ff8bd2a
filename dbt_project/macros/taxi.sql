{#- Figures of the ways on the ground of a day or month. -#}
{%- macro taxi_aggregates() -%}
count(*) as movement_count,
    count(taxi_min) as told_count,
    count(taxi_min)::double precision / count(*) as told_share,
    avg(taxi_min order by taxi_min) as mean_taxi_min,
    percentile_cont(0.9) within group (order by taxi_min) as p90_taxi_min,
    count(additional_min) as with_reference_count,
    avg(reference_min order by reference_min) as mean_reference_min,
    avg(additional_min order by additional_min) as mean_additional_min,
    percentile_cont(0.9) within group (order by additional_min) as p90_additional_min,
    count(occupancy_s) as occupancy_count,
    count(occupancy_s)::double precision / count(*) as occupancy_share,
    avg(occupancy_s order by occupancy_s) as mean_occupancy_s,
    percentile_cont(0.9) within group (order by occupancy_s) as p90_occupancy_s
{%- endmacro -%}
