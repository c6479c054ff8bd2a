{#- The watched airports as a Jinja list of ICAO codes: the var when set, else the environment, else the demo's. -#}
{%- macro watch_airports() -%}
    {%- set given = var('watch_airports', none) or env_var('SKYOPS_WATCH_AIRPORTS', 'LFPG,LFPO,LFPB,LFOB,LFPV') -%}
    {%- set codes = given.split(',') if given is string else given -%}
    {{ return(codes | map('trim') | list) }}
{%- endmacro -%}

{#- The watched airports as SQL literals, for `in (...)`. -#}
{%- macro watch_airports_sql() -%}
    {%- for code in watch_airports() %}'{{ code }}'{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro -%}

{#- Whether a place lies outside the widest ring of every watched airport; null where none is known. -#}
{%- macro is_out_of_area(latitude, longitude) -%}
(
    select min({{ distance_m('watched.latitude_deg', 'watched.longitude_deg', latitude, longitude) }})
    from {{ ref('int_airports__watched') }} as watched
) > {{ var('rings_nm') | max }} * {{ metres_per_nm() }}
{%- endmacro -%}
