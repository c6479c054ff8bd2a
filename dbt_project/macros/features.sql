{#- All features of `crossings`, in a select that `join_feature_families` joins. -#}
{%- macro features() -%}
    {%- for family, names in features_by_family().items() -%}
        {%- set alias = 'crossings' if family == 'unioned' else family -%}
        {%- for name in names %}
    {{ alias }}.{{ name }}
            {{- ',' if not loop.last }}
        {%- endfor -%}
        {{- ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro -%}

{#- Joins each family of features to `crossings`, rows of int_crossings__unioned. -#}
{%- macro join_feature_families() -%}
    {%- for family in features_by_family() if family != 'unioned' %}
inner join {{ ref('int_crossings__' ~ family) }} as {{ family }}
    on
        crossings.crossing_id = {{ family }}.crossing_id
        and crossings.is_live = {{ family }}.is_live
    {%- endfor -%}
{%- endmacro -%}

{#- Of the rows of a group the last value that is not null. -#}
{%- macro latest_known(value, time) -%}
(array_agg({{ value }} order by {{ time }} desc) filter (where {{ value }} is not null))[1]
{%- endmacro -%}
