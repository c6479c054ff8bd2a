{#-
How models follow the data. `begin_transform` (on-run-start) works out what the loads since the last finished
run have touched; `rebuilt` models delete just that and insert it anew; `end_transform` (on-run-end) notes
that it is done. docs/transform.md says why this equals a full refresh.
-#}

{#- The longest gap between two positions that are still compared; after a longer one nothing before it matters. -#}
{%- macro max_gap() -%}interval '{{ var("flight_gap_s") }} seconds'{%- endmacro -%}

{#- Whether the present model is brought up to date, and not built from all there is. -#}
{%- macro is_rebuilding() -%}
    {%- if not execute or model.resource_type != 'model' or should_full_refresh() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {{ return(existing is not none and existing.type == 'table') }}
{%- endmacro -%}

{#-
The first of the times that are computed anew. As a value, not as a subquery, of which the planner knows
nothing: it opens no days before, and takes the index where this is little of all there is.
-#}
{%- macro _first(time, table) -%}
    '{{ run_query("select coalesce(min(" ~ time ~ "), 'infinity')::text from " ~ table)[0][0] }}'::timestamptz
{%- endmacro -%}

{#-
Joins the aircraft and times that are computed anew to a relation that has icao24; nothing when all is.
`before` reaches so much further back for what is only looked at. The columns of what is joined are named in full, here
and below: dbt's graph does not know these tables, and without their columns no column's lineage can be told.
-#}
{%- macro join_changes(alias, time, before=none) -%}
    {%- if is_rebuilding() -%}
        inner join (
            select ranges.changed_icao24, ranges.changed_from_at, ranges.changed_through_at
            from audit.transform_ranges as ranges
        ) as changes
            on
                {{ alias }}.icao24 = changes.changed_icao24
                and {{ alias }}.{{ time }} >= changes.changed_from_at {{ '- ' ~ before if before }}
                and {{ alias }}.{{ time }} < changes.changed_through_at
                and {{ alias }}.{{ time }}
                >= {{ _first('changed_from_at', 'audit.transform_ranges') }} {{ '- ' ~ before if before }}
    {%- endif -%}
{%- endmacro -%}

{#- From when on the present row is computed anew; rows before are only looked at. -#}
{%- macro changed_from() -%}
    {{ 'changes.changed_from_at' if is_rebuilding() else "'-infinity'::timestamptz" }}
{%- endmacro -%}

{#- Until when the present row is computed anew. -#}
{%- macro changed_through() -%}
    {{ 'changes.changed_through_at' if is_rebuilding() else "'infinity'::timestamptz" }}
{%- endmacro -%}

{#- The latest position that there is, as a subquery; a unit test has its own. -#}
{%- macro latest_position(positions) -%}
    {%- if execute and model.resource_type == 'model' -%}
        (select horizon.latest_at from audit.transform_horizon as horizon)
    {%- else -%}
        (select max(positioned_at) from {{ positions }})
    {%- endif -%}
{%- endmacro -%}

{#- Joins the hours that are computed anew: those that changed, or those whose features did as well. -#}
{%- macro join_changed_hours(alias, time, with_aftermath=false) -%}
    {%- if is_rebuilding() -%}
        inner join (
            select hours.changed_hour_at, hours.is_aftermath from audit.transform_hours as hours
        ) as changes
            on
                date_trunc('hour', {{ alias }}.{{ time }}, 'UTC') = changes.changed_hour_at
                and {{ alias }}.{{ time }} >= {{ _first('changed_hour_at', 'audit.transform_hours') }}
                {{ 'and not changes.is_aftermath' if not with_aftermath }}
    {%- endif -%}
{%- endmacro -%}

{#- Leaves out of what is only looked back at all that lies too far before the hours computed anew. -#}
{%- macro and_since_changed_hours(time, look_back) -%}
    {%- if is_rebuilding() -%}
        and {{ time }} >= {{ _first('changed_hour_at', 'audit.transform_hours') }} - interval '{{ look_back }}'
    {%- endif -%}
{%- endmacro -%}

{#- Whether a rebuilt model, of which this is the `meta`, goes by the hour and not by the aircraft. -#}
{%- macro is_by_hours(meta) -%}
    {{ return(meta.get('rebuilt_by') == 'hours') }}
{%- endmacro -%}

{#- Where it stands what of such a model is computed anew. -#}
{%- macro changes_of(meta) -%}
    {{ 'audit.transform_hours' if is_by_hours(meta) else 'audit.transform_ranges' }}
{%- endmacro -%}

{#- Whether a row `stored` of such a model lies within a row `changes` of that. -#}
{%- macro is_changed(meta) -%}
    {%- if is_by_hours(meta) -%}
        stored.{{ meta.time }} >= changes.changed_hour_at
        and stored.{{ meta.time }} < changes.changed_hour_at + interval '1 hour'
    {%- else -%}
        stored.icao24 = changes.changed_icao24
        and stored.{{ meta.time }} >= changes.changed_from_at
        and stored.{{ meta.time }} < changes.changed_through_at
    {%- endif -%}
{%- endmacro -%}

{#-
Creates what `functions/` holds, in each run and before any model: so a function is always that of the project, whichever
models are selected. dbt compiles those files as analyses; its own functions are scalar and in SQL only, and `dbt run`
leaves them out.
-#}
{%- macro create_functions() -%}
{%- if execute and flags.WHICH in ('run', 'build') -%}
    begin;
    create schema if not exists staging;
    {%- for node in graph.nodes.values() if node.resource_type == 'analysis' %}
    drop function if exists staging.{{ node.name }};
    {{ render(node.raw_code) }};
    {%- endfor %}
    commit;
{%- endif -%}
{%- endmacro -%}

{%- macro begin_transform() -%}
{%- if execute and flags.WHICH in ('run', 'build') -%}
    {%- set segmented = adapter.get_relation(target.database, 'intermediate', 'int_flights__segmented') -%}
    {%- set flights = adapter.get_relation(target.database, 'metrics', 'fct_flights') -%}
    {%- set is_new = flags.FULL_REFRESH or segmented is none or flights is none -%}
    begin;
    -- Until this run has finished nothing is made from what it is made from, nor from what was before.
    update audit.transform_state set fingerprint = 'unfinished'
    where fingerprint is distinct from '{{ env_var("SKYOPS_TRANSFORM_FINGERPRINT", "") }}';
    truncate audit.transform_batches, audit.transform_feature_batches, audit.transform_ranges;
    truncate audit.transform_hours, audit.transform_horizon;
    insert into audit.transform_batches
    select batch_id from raw.ingest_batches
    where target = 'raw.opensky_states' and transformed_at is null;
    insert into audit.transform_feature_batches
    select batch_id from raw.ingest_batches
    where target in ('raw.arrivals_history', 'raw.metars') and transformed_at is null;
    insert into audit.transform_horizon (is_whole, latest_at)
    select {{ is_new }}, greatest(
        (select horizon_at from audit.transform_state),
        (select max(window_end_at) from raw.ingest_batches inner join audit.transform_batches using (batch_id))
    );
    {% if not is_new -%}
    {{ _add_constraints() }}
    {{ _insert_changes(segmented, flights) }}
    {{ _insert_feature_changes() }}
    {%- endif %}
    analyze audit.transform_ranges;
    analyze audit.transform_hours;
    commit;
{%- endif -%}
{%- endmacro -%}

{#-
An address's range begins with the flight that its first new position continues, or with that position where all
had been silent for longer than any rule remembers: rules look back only, so nothing before changes. Where two airframes
send it, both have the same range, and it begins where the other one had been silent. It ends at the first flight that began longer after the last new position than any
rule remembers (twice: what a rule compares has itself looked back once), for it begins there still; after a
silence, that is: what ends with a stand or a new callsign depends on all of the flight before.
Flights that were near the latest position are computed anew as well: what they are depends on the silence since.
-#}
{%- macro _insert_changes(segmented, flights) -%}
    create temporary table arrived on commit drop as
    select
        states.icao24,
        date_trunc('day', states.time_position, 'UTC') as day_at,
        min(states.time_position) as first_at,
        max(states.time_position) as last_at
    from raw.opensky_states as states
    where
        states.batch_id in (select batch_id from audit.transform_batches)
        and states.batch_id >= (select min(batch_id) from audit.transform_batches)
        and states.time_position between (
            select min(window_start_at) from raw.ingest_batches inner join audit.transform_batches using (batch_id)
        ) and (
            select max(window_end_at) from raw.ingest_batches inner join audit.transform_batches using (batch_id)
        )
    group by states.icao24, day_at;

    -- New positions, and the flights that were near the latest one.
    create temporary table sought on commit drop as
    select icao24, first_at as started_at, first_at, last_at, true as is_new
    from arrived
    union all
    select
        left(icao24, 6) as icao24,
        first_seen_at as started_at,
        coalesce(last_seen_at, first_seen_at) as first_at,
        coalesce(last_seen_at, first_seen_at) as last_at,
        false as is_new
    from {{ flights }}
    where
        coalesce(last_seen_at, first_seen_at) >= (select horizon_at from audit.transform_state) - interval '1 hour'
        and exists (select from audit.transform_batches);

    create temporary table touched on commit drop as
    select
        sought.icao24,
        coalesce(present.flight_started_at, sought.started_at) as from_at,
        coalesce(following.flight_started_at, 'infinity') as through_at,
        sought.first_at as changed_from_at,
        case when sought.is_new then greatest(sought.last_at, latest.positioned_at) else sought.last_at end
            as changed_through_at
    from sought
    left join lateral (
        select max(latest.flight_started_at) as flight_started_at
        from {{ airframe_suffixes() }}
        cross join lateral (
            select flights.flight_started_at
            from {{ segmented }} as flights
            where
                flights.icao24 = sought.icao24 || airframes.suffix
                and flights.flight_started_at <= sought.started_at
                -- A new position can take the place of the one that a flight began with.
                and (flights.flight_started_at < sought.started_at or not sought.is_new)
                and not exists (
                    select from {{ airframe_suffixes() }}
                    inner join {{ segmented }} as before on before.icao24 = sought.icao24 || airframes.suffix
                    where
                        -- Whether a new callsign begins a flight is known within ten minutes.
                        (
                            before.icao24 <> flights.icao24
                            or flights.flight_started_at >= sought.started_at - {{ max_gap() }}
                        )
                        and before.flight_started_at < flights.flight_started_at
                        and before.flight_ended_at >= flights.flight_started_at - {{ max_gap() }}
                )
            order by flights.flight_started_at desc
            limit 1
        ) as latest
        -- After a long silence a new position begins a flight, and the one before stays as it is.
        where exists (
            select from {{ airframe_suffixes() }}
            cross join lateral (
                select flights.flight_ended_at
                from {{ segmented }} as flights
                where
                    flights.icao24 = sought.icao24 || airframes.suffix
                    and flights.flight_started_at <= sought.started_at
                order by flights.flight_started_at desc
                limit 1
            ) as before
            where before.flight_ended_at >= sought.started_at - 2 * {{ max_gap() }}
        )
    ) as present on true
    left join lateral (
        select min(earliest.flight_started_at) as flight_started_at
        from {{ airframe_suffixes() }}
        cross join lateral (
            select flights.flight_started_at
            from {{ segmented }} as flights
            where
                sought.is_new
                and flights.icao24 = sought.icao24 || airframes.suffix
                and flights.flight_started_at > sought.last_at + 2 * {{ max_gap() }}
                and not exists (
                    select from {{ airframe_suffixes() }}
                    inner join {{ segmented }} as before on before.icao24 = sought.icao24 || airframes.suffix
                    where
                        before.flight_started_at < flights.flight_started_at
                        and before.flight_ended_at >= flights.flight_started_at - {{ max_gap() }}
                )
            order by flights.flight_started_at
            limit 1
        ) as earliest
    ) as following on true
    left join lateral (
        select max(flights.flight_ended_at) as positioned_at
        from {{ airframe_suffixes() }}
        inner join {{ segmented }} as flights on flights.icao24 = sought.icao24 || airframes.suffix
        where
            sought.is_new
            and flights.flight_started_at < coalesce(following.flight_started_at, 'infinity')
    ) as latest on true;

    insert into audit.transform_ranges
    select icao24 || suffix, lower(range) + 2 * {{ max_gap() }}, upper(range)
    from (
        -- One range where one looks back into the other.
        select
            icao24,
            unnest(range_agg(tstzrange(from_at - 2 * {{ max_gap() }}, through_at))) as range
        from touched
        group by icao24
    ) as ranges
    cross join {{ airframe_suffixes() }};

    -- A landing can change ten minutes before the position that withdraws it; features look back six hours.
    insert into audit.transform_hours
    select hour_at, bool_and(hour_at > changed_through_at)
    from touched
    cross join lateral generate_series(
        date_trunc('hour', changed_from_at - interval '1 hour', 'UTC'),
        changed_through_at + interval '{{ var("features_look_back_h") }} hours',
        interval '1 hour'
    ) as hour_at
    group by hour_at;
{%- endmacro -%}

{#-
Of an arrival of the history and of a weather report only features follow: of it and of those that look back at it.
-#}
{%- macro _insert_feature_changes() -%}
    insert into audit.transform_hours
    select distinct
        hour_at,
        true
    from raw.ingest_batches as loads
    inner join audit.transform_feature_batches as changed on loads.batch_id = changed.batch_id
    cross join lateral generate_series(
        date_trunc('hour', loads.window_start_at, 'UTC'),
        loads.window_end_at + case loads.target
            when 'raw.metars' then interval '{{ var("weather_look_back_h") }} hours'
            else interval '{{ var("features_look_back_h") }} hours'
        end,
        interval '1 hour'
    ) as hour_at
    on conflict do nothing;
{%- endmacro -%}

{#-
The contracts' not null where a table lacks it: after a change of the project tables are built anew with it, but not
where retention has dropped what they were made from. Rows of before that break it keep their column without it.
-#}
{%- macro _add_constraints() -%}
    {%- set declared = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- for column in node.columns.values() if column.constraints | selectattr('type', 'equalto', 'not_null') | list -%}
            {%- do declared.append("('" ~ node.schema ~ "." ~ node.name ~ "', '" ~ column.name ~ "')") -%}
        {%- endfor -%}
    {%- endfor -%}
    do $$
    declare
        lacking record;
    begin
        for lacking in
            select columns.attrelid::regclass as relation, columns.attname as name
            from (values {{ declared | join(', ') }}) as declared (relation, name)
            inner join pg_attribute as columns
                on columns.attrelid = to_regclass(declared.relation) and declared.name = columns.attname
            where not columns.attnotnull
        loop
            begin
                execute format('alter table %s alter column %I set not null', lacking.relation, lacking.name);
            exception when not_null_violation then
                raise warning '% stays nullable: %', lacking.relation, sqlerrm;
            end;
        end loop;
    end
    $$;
{%- endmacro -%}

{%- macro end_transform(results) -%}
{%- if execute and flags.WHICH in ('run', 'build') -%}
    {%- set done = [] -%}
    {%- for result in results if result.node.resource_type == 'model' and result.status == 'success' -%}
        {%- do done.append(result.node.unique_id) -%}
    {%- endfor -%}
    {%- set undone = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized in ('rebuilt', 'reference') and node.unique_id not in done -%}
        {%- do undone.append(node.name) -%}
    {%- endfor -%}
    {#- A red test looks at what the run has computed anew: marked as done, the next run would not look there again. -#}
    {%- for result in results if result.node.resource_type == 'test' and result.status in ('fail', 'error') -%}
        {%- do undone.append(result.node.name) -%}
    {%- endfor -%}
    {%- if not undone -%}
        {%- set fingerprint = env_var('SKYOPS_TRANSFORM_FINGERPRINT', '') -%}
    begin;
    update raw.ingest_batches set transformed_at = now()
    where
        batch_id in (
            select batch_id from audit.transform_batches
            union all
            select batch_id from audit.transform_feature_batches
        );
    insert into audit.transform_state (fingerprint, horizon_at, finished_at)
    values (nullif('{{ fingerprint }}', ''), (select latest_at from audit.transform_horizon), now())
    on conflict (is_only) do update set
        fingerprint = excluded.fingerprint, horizon_at = excluded.horizon_at, finished_at = excluded.finished_at;
    commit;
    {%- endif -%}
{%- endif -%}
{%- endmacro -%}

{#-
What a data test looks at: of a rebuilt table only what the run has computed anew, so that tests cost what the
new data cost; everything after a full refresh, and in `dbt test`.
-#}
{%- macro get_where_subquery(relation) -%}
    {%- set tested = graph.nodes.get(model.get('attached_node') or '') if execute -%}
    {%- if tested and tested.config.materialized == 'rebuilt' and flags.WHICH == 'build' -%}
        {%- set meta = tested.config.meta -%}
        (
            select stored.* from {{ relation }} as stored
            where (select is_whole from audit.transform_horizon)
            union all
            select stored.* from {{ relation }} as stored
            inner join {{ changes_of(meta) }} as changes on {{ is_changed(meta) }}
            where not (select is_whole from audit.transform_horizon)
        ) as tested
    {%- else -%}
        {{ return(default__get_where_subquery(relation)) }}
    {%- endif -%}
{%- endmacro -%}
