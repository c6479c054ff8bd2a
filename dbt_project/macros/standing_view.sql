{#-
A view that stands until its SQL is another. dbt makes its views anew in every run, with whatever reads them, and locks
them for it; this one says in its comment what it was made from. It may read only tables that stay (`rebuilt`,
`reference`, those of `raw` and `ml`) and views like itself: a plain table is dropped when it is made again, and takes
the views that read it along. So does a full refresh, which then makes the views again.
-#}
{%- materialization standing_view, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set mark = 'SQL ' ~ local_md5(sql) -%}
    {%- set found = run_query("select obj_description(to_regclass('" ~ this.include(database=false) ~ "'))")[0][0] -%}
    {%- if existing is not none and existing.is_view and found == mark -%}
        {% call noop_statement('main', 'UNCHANGED') %}{% endcall %}
        {{ return({'relations': [existing]}) }}
    {%- endif -%}
    {%- set made = materialization_view_default() -%}
    {% do run_query('comment on view ' ~ this ~ " is '" ~ mark ~ "'") %}
    {{ return(made) }}
{%- endmaterialization -%}
