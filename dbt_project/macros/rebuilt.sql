{#-
A table that follows the data: built whole the first time, then what `audit.transform_ranges` (or, with
`meta.rebuilt_by: hours`, `audit.transform_hours`) names is deleted and inserted, in one transaction and
without a table in between. `meta.time` is the column that lies in those ranges;
`meta.followed_by` the macro that corrects what was inserted, in the same transaction.
-#}
{%- materialization rebuilt, adapter='postgres' -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set meta = config.get('meta') -%}

    {%- if not is_rebuilding() -%}
        {%- set intermediate = make_intermediate_relation(target_relation) -%}
        {%- set backup = make_backup_relation(target_relation, 'table' if existing is none else existing.type) -%}
        {{ drop_relation_if_exists(load_cached_relation(intermediate)) }}
        {{ drop_relation_if_exists(load_cached_relation(backup)) }}
        {{ run_hooks(pre_hooks, inside_transaction=True) }}
        {% call statement('main') -%}
            {{ get_create_table_as_sql(False, intermediate, sql) }}
        {%- endcall %}
        {% do create_indexes(intermediate) %}
        {%- if existing is not none -%}
            {{ adapter.rename_relation(existing, backup) }}
        {%- endif -%}
        {{ adapter.rename_relation(intermediate, target_relation) }}
        {%- if meta.get('followed_by') -%}
            {% do context[meta.followed_by](is_whole=true) %}
        {%- endif -%}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {% do persist_docs(target_relation, model) %}
        {{ adapter.commit() }}
        {{ drop_relation_if_exists(backup) }}
    {%- else -%}
        {%- set columns = adapter.get_columns_in_relation(existing) | map(attribute='quoted') | join(', ') -%}
        {{ run_hooks(pre_hooks, inside_transaction=True) }}
        {% call statement('delete') -%}
            delete from {{ target_relation }} as stored using {{ changes_of(meta) }} as changes
            where
                {{ is_changed(meta) }}
                {{ 'and not changes.is_aftermath' if is_by_hours(meta) and not meta.get('with_aftermath') }}
        {%- endcall %}
        {% call statement('main') -%}
            insert into {{ target_relation }} ({{ columns }})
            select {{ columns }} from (
                {{ sql }}
            ) as computed
        {%- endcall %}
        {%- if meta.get('followed_by') -%}
            {% do context[meta.followed_by](is_whole=false) %}
        {%- endif -%}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {{ adapter.commit() }}
    {%- endif -%}

    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization -%}

{#-
A table of reference data alone. It is made anew with what was made from it, which `skyops-dbt` tells by its
fingerprint of models, settings, airports and runways; a run that brings positions leaves it as it is.
-#}
{%- materialization reference, adapter='postgres' -%}
    {%- set fingerprint = env_var('SKYOPS_TRANSFORM_FINGERPRINT', '') -%}
    {%- if is_rebuilding() and run_query("select max(fingerprint) from audit.transform_state")[0][0] == fingerprint -%}
        {% call noop_statement('main', 'UNCHANGED') %}{% endcall %}
        {{ return({'relations': [this.incorporate(type='table')]}) }}
    {%- endif -%}
    {{ return(materialization_table_default()) }}
{%- endmaterialization -%}
