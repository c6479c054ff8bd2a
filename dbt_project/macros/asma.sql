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


{#- The ring at which EUROCONTROL publishes additional ASMA time by the day. -#}
{%- macro asma_fixed_ring_nm() -%}
40
{%- endmacro -%}

{#- Arrivals that a cell of the fixed references needs. -#}
{%- macro asma_fixed_minimum() -%}
10
{%- endmacro -%}

{#- The reference year: the var when set, else the environment; none for the first year with data. -#}
{%- macro asma_reference_year() -%}
    {%- set given = var('asma_reference_year', none) or env_var('SKYOPS_ASMA_REFERENCE_YEAR', '') -%}
    {{ return(given | int if given else none) }}
{%- endmacro -%}

{#-
Bearings (degrees) at which EUROCONTROL's Performance Review Unit divides the 40 NM ring, as published with its
references of 2019 (docs/decisions/asma.md). The sector from 0 ends at the first, the last ends at 360.
-#}
{%- macro asma_published_sectors() -%}
{{ return({
    'EDDF': [100, 140, 215, 300],
    'EGKK': [105, 180, 300],
    'EGLL': [110, 170, 230, 300],
    'EHAM': [70, 150, 250, 310],
    'LSZH': [50, 115, 195, 265, 340],
}) }}
{%- endmacro -%}

{#- The entry sector of a bearing: the published one (its end belongs to it), else the octant. -#}
{%- macro asma_entry_sector(airport, bearing, octant) -%}
case
    {% for code, cuts in asma_published_sectors().items() -%}
    {%- for low, high in zip([0] + cuts, cuts + [360]) -%}
    when {{ airport }} = '{{ code }}' and {{ bearing }} <= {{ high }} then '{{ '%03d' % low }}-{{ '%03d' % high }}'
    {% endfor -%}
    {%- endfor -%}
    else {{ octant }}
end
{%- endmacro -%}

{#-
The class of an aircraft, as EUROCONTROL's references have it: its wake turbulence category (heavy, medium,
light; ICAO Doc 8643) and what drives it (jet, turboprop, piston). Null where the type does not tell.
-#}
{%- macro asma_aircraft_class(typecode, description) -%}
{%- set heavy = [
    'A124', 'A225', 'A306', 'A30B', 'A310', 'A332', 'A333', 'A337', 'A338', 'A339', 'A342', 'A343', 'A345', 'A346',
    'A359', 'A35K', 'A388', 'A3ST', 'B1', 'B2', 'B52', 'B701', 'B703', 'B741', 'B742', 'B743', 'B744', 'B748',
    'B74D', 'B74R', 'B74S', 'B762', 'B763', 'B764', 'B772', 'B773', 'B778', 'B779', 'B77L', 'B77W', 'B788', 'B789',
    'B78X', 'BLCF', 'C17', 'C5', 'C5M', 'CONC', 'DC10', 'DC85', 'DC86', 'DC87', 'E3CF', 'E3TF', 'E6', 'IL62', 'IL76',
    'IL86', 'IL96', 'K35E', 'K35R', 'L101', 'MD11', 'R135', 'VC10', 'A400', 'AN22'
] -%}
{%- set light = [
    'A500', 'BE9L', 'BE9T', 'BE10', 'BE20', 'B350', 'C208', 'C25A', 'C25B', 'C25M', 'C425', 'C441', 'C500', 'C501',
    'C510', 'C525', 'C550', 'C551', 'D228', 'DHC6', 'E110', 'E121', 'E50P', 'EA50', 'EPIC', 'F406', 'HDJT',
    'KODI', 'M600', 'MU2', 'P180', 'P46T', 'PAY1', 'PAY2', 'PAY3', 'PAY4', 'PC12', 'PC6T', 'PC7', 'PC9', 'PRM1',
    'SF50', 'SW2', 'SW3', 'SW4', 'TBM7', 'TBM8', 'TBM9', 'BN2T', 'DO28', 'AC90', 'AC6T', 'LJ23', 'LJ24'
] -%}
case
    when {{ typecode }} in ('{{ heavy | join("', '") }}') then 'H'
    when left({{ description }}, 1) in ('L', 'S', 'A') and right({{ description }}, 1) = 'P' then 'LP'
    when left({{ description }}, 1) in ('L', 'S', 'A') and right({{ description }}, 1) in ('J', 'T')
        then
            case
                when {{ typecode }} is null then null
                when {{ typecode }} in ('{{ light | join("', '") }}') or substr({{ description }}, 2, 1) = '1' then 'L'
                else 'M'
            end || right({{ description }}, 1)
end
{%- endmacro -%}

{#- What the fixed method counts in a group of arrivals. -#}
{%- macro asma_fixed_counts() -%}
{{ return([
    'arrival_count', 'excluded_over_120_min_count', 'excluded_helicopter_count', 'counted_count',
    'with_reference_count', 'class_reference_count', 'runway_unknown_count'
]) }}
{%- endmacro -%}

{#- The columns of the fixed method, from a group's counts and its totals over the arrivals with a reference. -#}
{%- macro asma_fixed_figures(groups) -%}
'{{ asma_fixed_method() }}' as method,
    {% for count in asma_fixed_counts() -%}
    {{ groups }}.{{ count }},
    {% endfor -%}
    {{ groups }}.with_reference_count::double precision / nullif({{ groups }}.counted_count, 0) as reference_share,
    {{ groups }}.class_reference_count::double precision / nullif({{ groups }}.counted_count, 0)
        as class_reference_share,
    {{ groups }}.total_transit_min,
    {{ groups }}.total_unimpeded_min,
    {{ groups }}.total_transit_min - {{ groups }}.total_unimpeded_min as total_additional_min,
    {{ groups }}.total_transit_min / nullif({{ groups }}.with_reference_count, 0) as transit_min,
    {{ groups }}.total_unimpeded_min / nullif({{ groups }}.with_reference_count, 0) as unimpeded_min,
    ({{ groups }}.total_transit_min - {{ groups }}.total_unimpeded_min) / nullif({{ groups }}.with_reference_count, 0)
        as additional_min,
    case
        when {{ groups }}.counted_count = 0 then 'no_arrival_counts'
        when {{ groups }}.with_reference_count = 0 then 'no_reference'
    end as reason
{%- endmacro -%}

{#- The method's name, in tables, answers and reports. -#}
{%- macro asma_fixed_method() -%}
ICAO GANP KPI08, 20th percentile of a fixed year
{%- endmacro -%}
