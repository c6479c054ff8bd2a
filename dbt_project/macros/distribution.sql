{#-
A warehouse over several servers (Citus). Tables of what comes from an aircraft are distributed by its address, with
the positions of the same address on the same server; small ones that they are joined with are copied to each server;
the rest stays on the coordinator. `meta.distribution` of a model or its folder says which: `icao24`, `reference` or,
without one, neither. On plain Postgres nothing of this has an effect.
-#}

{#- Whether the warehouse is Citus; asked once a run. -#}
{%- macro is_citus() -%}
    {%- if execute and 'is_citus' not in graph -%}
        {%- set found = run_query("select exists (select 1 from pg_extension where extname = 'citus')")[0][0] -%}
        {%- do graph.update({'is_citus': found}) -%}
    {%- endif -%}
    {{ return(execute and graph.is_citus) }}
{%- endmacro -%}

{#-
Begins each transaction on Citus: the coordinator reads its own copies of tables as the workers do theirs, over a
connection. What it read within its own session would keep later statements of the transaction from all servers.
-#}
{%- macro reach_all_servers() -%}
    {%- if is_citus() -%}
        select
            set_config('citus.enable_local_execution', 'off', true),
            set_config('citus.local_hostname', nodename, true)
        from pg_dist_node
        where groupid = 0
    {%- endif -%}
{%- endmacro -%}

{#- How the present model's table is distributed: `icao24`, `reference` or none. -#}
{%- macro distribution() -%}
    {%- set wanted = (config.get('meta') or {}).get('distribution') if is_citus() -%}
    {{ return(wanted if wanted in ('icao24', 'reference') else none) }}
{%- endmacro -%}

{#-
Overrides dbt's macro. On Citus a table is distributed while it is empty, so that each server computes its own rows:
`create table as` would bring all of them to the coordinator.
-#}
{%- macro postgres__get_create_table_as_sql(temporary, relation, sql) -%}
    {%- set wanted = none if temporary else distribution() -%}
    {%- if wanted is none -%}
        {{ return(default__get_create_table_as_sql(temporary, relation, sql)) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
    create table {{ relation }}
        {{ get_assert_columns_equivalent(sql) }}
        {{ get_table_columns_and_constraints() }};
    {{ distribute(relation, wanted) }};
    insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }})
    {{ get_select_subquery(sql) }};
    {%- else -%}
    create table {{ relation }} as
    {{ sql }}
    with no data;
    {{ distribute(relation, wanted) }};
    insert into {{ relation }}
    {{ sql }};
    {%- endif -%}
{%- endmacro -%}

{%- macro distribute(relation, wanted) -%}
    {%- if wanted == 'reference' -%}
    select create_reference_table('{{ relation }}')
    {%- else -%}
    {#- Tables lie together by one order of texts, that of staging. -#}
    alter table {{ relation }} alter icao24 type text collate "C";
    select create_distributed_table('{{ relation }}', 'icao24', colocate_with => 'raw.opensky_states')
    {%- endif -%}
{%- endmacro -%}

{#-
A CTE that the planner is to compute once, before what reads it. On Citus such a one would be computed on the
coordinator; there each server computes its part of it, as often as it is read.
-#}
{%- macro computed_once() -%}
    {{ return('not materialized' if is_citus() else 'materialized') }}
{%- endmacro -%}

{#- The same for a CTE that Postgres computes once as it is read twice. -#}
{%- macro as_read_twice() -%}
    {{ return('not materialized ' if is_citus() else '') }}
{%- endmacro -%}

{#- A relation that a query joins in more ways than by the address: on Citus its rows are brought to the coordinator. -#}
{%- macro gathered(relation) -%}
    {{ return('(select * from ' ~ relation ~ ' offset 0)' if is_citus() else relation) }}
{%- endmacro -%}
