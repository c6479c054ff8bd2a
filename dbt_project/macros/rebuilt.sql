{#-
A table that follows the data: built whole the first time, then what `audit.transform_ranges` (or, with
`meta.rebuilt_by: hours`, `audit.transform_hours`) names is deleted and inserted, in one transaction and without a
table in between. `meta.time` is the column that lies in those ranges. Post-hooks run in the same transaction; one
that corrects what was inserted asks `is_built_whole()`.

A column that the query has and the table lacks is added, as dbt's `on_schema_change: append_new_columns` does. That
happens only where retention has dropped positions: everywhere else `skyops-dbt` rebuilds all tables when the project
changes. Rows that are not rebuilt have null there. A column that the query no longer has keeps what it holds.
-#}
{%- materialization rebuilt, adapter='postgres' -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set meta = config.get('meta') -%}

    {%- do context.update({'_is_new_table': not is_rebuilding()}) -%}
    {%- if is_built_whole() -%}
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
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {% do persist_docs(target_relation, model) %}
        {{ adapter.commit() }}
        {{ drop_relation_if_exists(backup) }}
    {%- elif is_unchanged(changes_of(meta)) -%}
        {% call noop_statement('main', 'UNCHANGED') %}{% endcall %}
    {%- else -%}
        {{ run_hooks(pre_hooks, inside_transaction=True) }}
        {% call statement('delete') -%}
            delete from {{ target_relation }} as stored using {{ changes_of(meta) }} as changes
            where
                {{ is_changed(meta, meta.get('since', 'changed_from_at'), hours_width()) }}
                {{ 'and not changes.is_aftermath' if is_by_hours(meta) and not meta.get('with_aftermath') }}
        {%- endcall %}
        {%- set columns = _columns_with_new_ones_added(existing, sql) -%}
        {% call statement('main') -%}
            insert into {{ target_relation }} ({{ columns }})
            select {{ columns }} from (
                {{ sql }}
            ) as computed
        {%- endcall %}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {#- A live pass changes too little for other statistics; autovacuum keeps those of what grows. -#}
        {%- set changed = load_result('delete').response.rows_affected or load_result('main').response.rows_affected -%}
        {%- if changed and not is_live_pass() -%}
            {% do run_query('analyze ' ~ target_relation) %}
        {%- endif -%}
        {{ adapter.commit() }}
    {%- endif -%}

    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization -%}

{#-
What a table gets as soon as it is filled, whatever materialization makes it: its indexes, and statistics, for the
models that read it follow at once. Overrides the macro of dbt that all of them call.
-#}
{%- macro postgres__create_indexes(relation) -%}
    {%- for index in config.get('indexes', default=[]) -%}
        {#- A server of Citus knows its own rows alone: there only what has the address can be unique. -#}
        {%- set is_unique = index.get('unique', false) and (distribution() != 'icao24' or 'icao24' in index.columns) -%}
        {%- set wanted = dict(index) -%}
        {%- do wanted.update({'unique': is_unique}) -%}
        {% do run_query(get_create_index_sql(relation, wanted)) %}
    {%- endfor -%}
    {% do run_query('analyze ' ~ relation) %}
{%- endmacro -%}

{#- Whether the table is new: also for the post-hooks, which find it in dbt's cache of relations by then. -#}
{%- macro is_built_whole() -%}
    {{ return(context['_is_new_table']) }}
{%- endmacro -%}

{#-
The columns of the model's query, as text. Those that the table lacks are added to it; those that the query lacks may be
null from now on.
-#}
{%- macro _columns_with_new_ones_added(existing, sql) -%}
    {%- set stored = adapter.get_columns_in_relation(existing) | map(attribute='name') | list -%}
    {#- A live pass is of the project that built the table. -#}
    {%- if is_live_pass() and is_same_project() -%}
        {{ return(stored | map('tojson') | join(', ')) }}
    {%- endif -%}
    {%- set computed = get_columns_in_query(sql) -%}
    {%- for column in stored if column not in computed -%}
        {% do run_query('alter table ' ~ existing ~ ' alter column ' ~ adapter.quote(column) ~ ' drop not null') %}
    {%- endfor -%}
    {%- if computed | reject('in', stored) | list -%}
        {#- A table without rows tells the types, as in dbt's own incremental models. -#}
        {%- set shape = make_temp_relation(existing) -%}
        {% do run_query(create_table_as(True, shape, get_empty_subquery_sql(sql))) %}
        {% do process_schema_changes('append_new_columns', shape, existing) %}
        {% do drop_relation(shape) %}
    {%- endif -%}
    {{ return(computed | map('tojson') | join(', ')) }}
{%- endmacro -%}

{#-
Whether a table stays as it is: `skyops-dbt`'s fingerprint of models, settings, airports and runways is that of the last
finished run, and `changes`, the audit table that lists what to rebuild, has no row.
-#}
{%- macro is_unchanged(changes) -%}
    {{ return(run_query('select ' ~ _is_same_project() ~ ' and not exists (select from ' ~ changes ~ ')')[0][0]) }}
{%- endmacro -%}

{#- Whether the last finished run was of this project, its settings, airports and runways. -#}
{%- macro is_same_project() -%}
    {{ return(run_query('select ' ~ _is_same_project())[0][0]) }}
{%- endmacro -%}

{%- macro _is_same_project() -%}
    exists (
        select from audit.transform_state where fingerprint = '{{ env_var("SKYOPS_TRANSFORM_FINGERPRINT", "") }}'
    )
{%- endmacro -%}

{#-
A table of reference data alone. It is rebuilt when the fingerprint of models, settings, airports and runways changes,
that is, together with the tables made from it; a run that only brings positions leaves it unchanged.
-#}
{%- materialization reference, adapter='postgres' -%}
    {%- if is_rebuilding() and is_same_project() -%}
        {% call noop_statement('main', 'UNCHANGED') %}{% endcall %}
        {{ return({'relations': [this.incorporate(type='table')]}) }}
    {%- endif -%}
    {{ return(materialization_table_default()) }}
{%- endmaterialization -%}
