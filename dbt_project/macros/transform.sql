{#-
How models follow the data. `begin_transform` (on-run-start) lists in audit tables what the loads since the last
finished run have touched; `rebuilt` models delete just those rows and insert them again; `end_transform` (on-run-end)
marks the loads as done. docs/transform.md explains why this equals a full refresh.

`skyops follow` builds the live models alone, those without the tag `hourly`, and tests nothing. Such a live pass costs
what is new: it cuts each range within the flight (`cut_ranges`). What it changed stays in `audit.pending_ranges` and
`pending_hours`, whole flights, until a build of everything has rebuilt all models there and its tests have passed.
-#}

{#- The longest gap between two positions that are still compared; after a longer one nothing before it matters. -#}
{%- macro max_gap() -%}interval '{{ var("flight_gap_s") }} seconds'{%- endmacro -%}

{#- Whether only part of the model is rebuilt; false when it is built from all data. -#}
{%- macro is_rebuilding() -%}
    {%- if not execute or model.resource_type != 'model' or should_full_refresh() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {{ return(existing is not none and existing.type == 'table') }}
{%- endmacro -%}

{#- Whether the model is one of those that only a build of everything brings up to date. -#}
{%- macro is_hourly(node) -%}
    {{ return('hourly' in node.config.tags) }}
{%- endmacro -%}

{#-
Whether the run leaves out models tagged `hourly`, as `skyops follow` does. Asked some 250 times a pass, and every model
looked at each time was a quarter of dbt's own work: the answer is kept with the graph, which is the run's.
-#}
{%- macro is_live_pass() -%}
    {%- if execute and 'is_live_pass' not in graph -%}
        {%- set left_out = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
            {%- if is_hourly(node) and node.config.materialized == 'rebuilt' and node.unique_id not in selected_resources -%}
                {%- do left_out.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do graph.update({'is_live_pass': left_out | length > 0}) -%}
    {%- endif -%}
    {{ return(execute and graph.is_live_pass) }}
{%- endmacro -%}

{#-
A table of notes of the present run: a live pass has its own, as it works between two models of a build of everything.
-#}
{%- macro notes(name) -%}
    {{ return('audit.' ~ ('live_' if is_live_pass() else 'transform_') ~ name) }}
{%- endmacro -%}

{#-
In a build of everything beside which `skyops follow` may work: waits for the pass under way, and keeps the next one
waiting until the model, the test or the hook is done. A pass waits for one model, not for the build.
-#}
{%- macro take_turn() -%}
    {%- if execute and env_var('SKYOPS_TRANSFORM_TURNS', '') and flags.WHICH in ('run', 'build') -%}
        select pg_advisory_xact_lock_shared(hashtext('skyops.turn'))
    {%- endif -%}
{%- endmacro -%}

{%- macro turn_of_hook() -%}
    {%- set turn = take_turn() -%}
    {{ turn ~ ';' if turn }}
{%- endmacro -%}

{#- A test takes its turn too: within a pass the tables do not fit each other. -#}
{%- macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {%- set turn = take_turn() -%}
    {%- if turn -%}
        {% do run_query(turn) %}
    {%- endif -%}
    {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro -%}

{#-
The earliest time to rebuild, as a value. Of a subquery the planner knows nothing; with a value it skips the
partitions before it, and uses the index where only few rows are rebuilt.
-#}
{%- macro _first(time, table) -%}
    '{{ run_query("select coalesce(min(" ~ time ~ "), 'infinity')::text from " ~ table)[0][0] }}'::timestamptz
{%- endmacro -%}

{#-
Joins the aircraft and time ranges to rebuild to a relation that has icao24; joins nothing when everything is rebuilt.
`since` is the column of `audit.transform_ranges` from which on rows are read; `before` extends each range backwards,
for rows that are read but not rebuilt. The joined columns are listed explicitly, here and below: dbt's graph does not
have these tables, and column lineage needs their columns.
-#}
{%- macro join_changes(alias, time, since='changed_from_at', before=none) -%}
    {%- if is_rebuilding() -%}
        inner join (
            select
                ranges.changed_icao24,
                ranges.read_from_at,
                ranges.flight_from_at,
                ranges.event_read_from_at,
                ranges.event_from_at,
                ranges.changed_from_at,
                ranges.anomaly_from_at,
                ranges.summary_from_at,
                ranges.changed_through_at
            from {{ notes('ranges') }} as ranges
        ) as changes
            on
                {{ alias }}.icao24 = changes.changed_icao24
                and {{ alias }}.{{ time }} >= changes.{{ since }} {{ '- ' ~ before if before }}
                and {{ alias }}.{{ time }} < changes.changed_through_at
                and {{ alias }}.{{ time }}
                >= {{ _first(since, notes('ranges')) }} {{ '- ' ~ before if before }}
    {%- endif -%}
{%- endmacro -%}

{#- Whether the model is rebuilt in a live pass, whose ranges begin within a flight. -#}
{%- macro is_cut() -%}
    {{ return(is_rebuilding() and is_live_pass()) }}
{%- endmacro -%}

{#- The start of the range to rebuild; earlier rows are only read. -#}
{%- macro changed_from(since='changed_from_at') -%}
    {{ 'changes.' ~ since if is_rebuilding() else "'-infinity'::timestamptz" }}
{%- endmacro -%}

{#- The end of the range to rebuild. -#}
{%- macro changed_through() -%}
    {{ 'changes.changed_through_at' if is_rebuilding() else "'infinity'::timestamptz" }}
{%- endmacro -%}

{#- The time of the latest position, as a subquery; in a unit test, of the latest in its rows. -#}
{%- macro latest_position(positions) -%}
    {%- if execute and model.resource_type == 'model' -%}
        (
            select max(horizon.latest_at)
            from (
                select transform_horizon.latest_at from audit.transform_horizon
                union all
                select live_horizon.latest_at from audit.live_horizon
            ) as horizon
        )
    {%- else -%}
        (select max(positions.positioned_at) from {{ positions }} as positions)
    {%- endif -%}
{%- endmacro -%}

{#- Joins the hours to rebuild: those whose rows changed, and with `with_aftermath` those whose features changed. -#}
{%- macro join_changed_hours(alias, time, with_aftermath=false) -%}
    {%- if is_rebuilding() -%}
        inner join (
            select hours.changed_hour_at, hours.is_aftermath from {{ notes('hours') }} as hours
        ) as changes
            on
                date_bin({{ hours_width() }}, {{ alias }}.{{ time }}, 'epoch') = changes.changed_hour_at
                and {{ alias }}.{{ time }} >= {{ _first('changed_hour_at', notes('hours')) }}
                {{ 'and not changes.is_aftermath' if not with_aftermath }}
    {%- endif -%}
{%- endmacro -%}

{#- How long each of the times in `audit.transform_hours` is. -#}
{%- macro hours_width() -%}
    {{ return("interval '1 minute'" if is_live_pass() else "interval '1 hour'") }}
{%- endmacro -%}

{#- Limits rows that are only read to those within `look_back` of the earliest hour to rebuild. -#}
{%- macro and_since_changed_hours(time, look_back) -%}
    {%- if is_rebuilding() -%}
        and {{ time }} >= {{ _first('changed_hour_at', notes('hours')) }} - interval '{{ look_back }}'
    {%- endif -%}
{%- endmacro -%}

{#- Whether a rebuilt model, given its `meta`, is rebuilt by hours, not by aircraft and time range. -#}
{%- macro is_by_hours(meta) -%}
    {{ return(meta.get('rebuilt_by') == 'hours') }}
{%- endmacro -%}

{#- The audit table that lists what the present model has to rebuild. -#}
{%- macro changes_of(meta) -%}
    {{ notes('hours') if is_by_hours(meta) else notes('ranges') }}
{%- endmacro -%}

{#- The condition that a row `stored` of the model lies within a row `changes` of that table, from its `since` on. -#}
{%- macro is_changed(meta, since='changed_from_at', width="interval '1 hour'") -%}
    {%- if is_by_hours(meta) -%}
        stored.{{ meta.time }} >= changes.changed_hour_at
        and stored.{{ meta.time }} < changes.changed_hour_at + {{ width }}
    {%- else -%}
        stored.icao24 = changes.changed_icao24
        and stored.{{ meta.time }} >= changes.{{ since }}
        and stored.{{ meta.time }} < changes.changed_through_at
    {%- endif -%}
{%- endmacro -%}

{#-
Creates what `functions/` holds, in each run and before any model: so a function is always that of the project,
whichever models are selected. dbt compiles those files as analyses; its own functions are scalar and in SQL only, and
`dbt run` leaves them out.
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

{#- Whether the run builds tables that follow the data or the references; one of views alone has nothing to note. -#}
{%- macro is_transform() -%}
    {%- set built = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.unique_id in selected_resources -%}
        {%- if node.resource_type == 'model' and node.config.materialized in ('rebuilt', 'reference') -%}
            {%- do built.append(node.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(built | length > 0 and flags.WHICH in ('run', 'build')) }}
{%- endmacro -%}

{%- macro begin_transform() -%}
{%- if execute and is_transform() -%}
    {%- set segmented = adapter.get_relation(target.database, 'intermediate', 'int_flights__segmented') -%}
    {%- set flights = adapter.get_relation(target.database, 'metrics', 'fct_flights') -%}
    {%- set is_new = flags.FULL_REFRESH or segmented is none or flights is none -%}
    begin;
    {{ turn_of_hook() }}
    select audit.wait_for_loads();
    {{ reach_all_servers() }};
    -- Until this run has finished, the tables are of neither the former project nor this one.
    update audit.transform_state set fingerprint = 'unfinished'
    where fingerprint is distinct from '{{ env_var("SKYOPS_TRANSFORM_FINGERPRINT", "") }}';
    truncate {{ notes('batches') }}, {{ notes('feature_batches') }}, {{ notes('ranges') }};
    truncate {{ notes('hours') }}, {{ notes('horizon') }};
    insert into {{ notes('batches') }}
    select batch_id from raw.ingest_batches
    where target = 'raw.opensky_states' and transformed_at is null;
    insert into {{ notes('feature_batches') }}
    select batch_id from raw.ingest_batches
    where
        transformed_at is null
        -- The history's table is not a live one.
        and target in ('raw.metars'{% if 'model.skyops.stg_history__arrivals' in selected_resources %}, 'raw.arrivals_history'{% endif %});
    insert into {{ notes('horizon') }} (is_whole, is_whole_pending, latest_at)
    select
        {{ is_new }},
        {{ is_new }} or exists (select 1 from audit.transform_state where is_whole_pending),
        greatest(
            (select horizon_at from audit.transform_state),
            (select max(window_end_at) from raw.ingest_batches inner join {{ notes('batches') }} using (batch_id))
        );
    {% if not is_new -%}
    {{ add_constraints() }};
    {{ insert_changes(segmented, flights) }};
    {{ insert_feature_changes() }};
    {{ add_to_pending() }};
    {%- set states = adapter.get_relation(target.database, 'staging', 'stg_opensky__states') -%}
    {%- set summaries = adapter.get_relation(target.database, 'intermediate', 'int_flights__summarized_10min') -%}
    {%- set anomalies = adapter.get_relation(target.database, 'metrics', 'fct_anomalies') %}
    {%- if is_live_pass() %}
    {%- if is_citus() -%}
        {{ exceptions.raise_compiler_error('Live passes need plain Postgres; on Citus build everything (skyops refresh).') }}
    {%- endif -%}
    {%- if not (states and summaries and anomalies) -%}
        {{ exceptions.raise_compiler_error('Some models have no table yet: build everything once (skyops refresh).') }}
    {%- endif %}
    {{ cut_ranges(states, segmented, summaries, anomalies) }};
    {{ cut_hours() }};
    {%- else %}
    {{ take_pending() }};
    {%- endif %}
    {%- endif %}
    analyze {{ notes('ranges') }};
    analyze {{ notes('hours') }};
    analyze audit.pending_ranges;
    analyze audit.pending_hours;
    commit;
{%- endif -%}
{%- endmacro -%}

{#-
Fills the audit tables with the ranges and hours that the new positions affect. An address's range begins with the
flight that its first new position continues, or with that position after a silence longer than `max_gap()`: rules
look back only, so nothing before changes. Where two airframes send the address, both have the same range, and it
begins where both had been silent. It ends at the first flight that began, after a silence, more than twice
`max_gap()` after the last new position (twice, because what a rule compares has itself looked back once). A flight
that began with a stand or a new callsign does not end it: that depends on all of the flight before. Flights near the
former latest position are rebuilt as well: their status depends on the silence since.
-#}
{%- macro insert_changes(segmented, flights) -%}
    create temporary table arrived on commit drop as
    select
        states.icao24,
        date_trunc('day', states.time_position, 'UTC') as day_at,
        min(states.time_position) as first_at,
        max(states.time_position) as last_at
    from raw.opensky_states as states
    where
        states.batch_id in (select taken.batch_id from {{ notes('batches') }} as taken)
        and states.batch_id >= (select min(taken.batch_id) from {{ notes('batches') }} as taken)
        and states.time_position between (
            select min(loads.window_start_at) from raw.ingest_batches as loads
            inner join {{ notes('batches') }} as taken on loads.batch_id = taken.batch_id
        ) and (
            select max(loads.window_end_at) from raw.ingest_batches as loads
            inner join {{ notes('batches') }} as taken on loads.batch_id = taken.batch_id
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
        coalesce(last_seen_at, first_seen_at)
        >= (select state.horizon_at from audit.transform_state as state)
        - interval '{{ "15 minutes" if is_live_pass() else "1 hour" }}'
        and exists (select 1 from {{ notes('batches') }});

    {% set known = segmented -%}
    {%- if is_citus() -%}
    -- Those of a second airframe lie on another server than the first one's.
    create temporary table known_flights on commit drop as
    select
        flights.icao24,
        flights.flight_started_at,
        flights.flight_ended_at
    from {{ segmented }} as flights
    where left(flights.icao24, 6) in (select sought.icao24 from sought);
    create index on known_flights (icao24, flight_started_at);
    analyze known_flights;
    {%- set known = 'known_flights' %}
    {%- endif %}
    create temporary table touched on commit drop as
    select
        sought.icao24,
        coalesce(present.flight_started_at, sought.started_at) as from_at,
        coalesce(next_begun.flight_started_at, 'infinity') as through_at,
        sought.first_at as changed_from_at,
        case when sought.is_new then greatest(sought.last_at, last_heard.positioned_at) else sought.last_at end
            as changed_through_at
    from sought
    left join lateral (
        select max(latest.flight_started_at) as flight_started_at
        from {{ airframe_suffixes() }}
        cross join lateral (
            select flights.flight_started_at
            from {{ known }} as flights
            where
                flights.icao24 = sought.icao24 || airframes.suffix
                and flights.flight_started_at <= sought.started_at
                -- A new position can take the place of the one that a flight began with.
                and (flights.flight_started_at < sought.started_at or not sought.is_new)
                and not exists (
                    select 1 from {{ airframe_suffixes() }}
                    inner join {{ known }} as earlier on earlier.icao24 = sought.icao24 || airframes.suffix
                    where
                        -- Whether a new callsign begins a flight is known within ten minutes.
                        (
                            earlier.icao24 <> flights.icao24
                            or flights.flight_started_at >= sought.started_at - {{ max_gap() }}
                        )
                        and earlier.flight_started_at < flights.flight_started_at
                        and earlier.flight_ended_at >= flights.flight_started_at - {{ max_gap() }}
                )
            order by flights.flight_started_at desc
            limit 1
        ) as latest
        -- After a long silence a new position begins a flight, and the one before stays as it is.
        where exists (
            select 1 from {{ airframe_suffixes() }}
            cross join lateral (
                select flights.flight_ended_at
                from {{ known }} as flights
                where
                    flights.icao24 = sought.icao24 || airframes.suffix
                    and flights.flight_started_at <= sought.started_at
                order by flights.flight_started_at desc
                limit 1
            ) as latest_before
            where latest_before.flight_ended_at >= sought.started_at - 2 * {{ max_gap() }}
        )
    ) as present on true
    left join lateral (
        select min(earliest.flight_started_at) as flight_started_at
        from {{ airframe_suffixes() }}
        cross join lateral (
            select flights.flight_started_at
            from {{ known }} as flights
            where
                sought.is_new
                and flights.icao24 = sought.icao24 || airframes.suffix
                and flights.flight_started_at > sought.last_at + 2 * {{ max_gap() }}
                and not exists (
                    select 1 from {{ airframe_suffixes() }}
                    inner join {{ known }} as earlier on earlier.icao24 = sought.icao24 || airframes.suffix
                    where
                        earlier.flight_started_at < flights.flight_started_at
                        and earlier.flight_ended_at >= flights.flight_started_at - {{ max_gap() }}
                )
            order by flights.flight_started_at
            limit 1
        ) as earliest
    ) as next_begun on true
    left join lateral (
        select max(flights.flight_ended_at) as positioned_at
        from {{ airframe_suffixes() }}
        inner join {{ known }} as flights on flights.icao24 = sought.icao24 || airframes.suffix
        where
            sought.is_new
            and flights.flight_started_at < coalesce(next_begun.flight_started_at, 'infinity')
    ) as last_heard on true;

    insert into {{ notes('ranges') }} (changed_icao24, changed_from_at, changed_through_at)
    select
        joined.icao24 || airframes.suffix as changed_icao24,
        lower(joined.affected) + 2 * {{ max_gap() }} as changed_from_at,
        upper(joined.affected) as changed_through_at
    from (
        -- One range where one looks back into the other.
        select
            icao24,
            unnest(range_agg(tstzrange(from_at - 2 * {{ max_gap() }}, through_at))) as affected
        from touched
        group by icao24
    ) as joined
    cross join {{ airframe_suffixes() }};

    -- A landing can change ten minutes before the position that withdraws it; features look back six hours.
    insert into {{ notes('hours') }}
    select
        hours.hour_at as changed_hour_at,
        bool_and(hours.hour_at > touched.changed_through_at) as is_aftermath
    from touched
    cross join lateral generate_series(
        date_trunc('hour', touched.changed_from_at - interval '1 hour', 'UTC'),
        touched.changed_through_at + interval '{{ var("features_look_back_h") }} hours',
        interval '1 hour'
    ) as hours (hour_at)
    group by hours.hour_at
{%- endmacro -%}

{#-
Adds the hours whose features the newly loaded arrivals of the history and weather reports affect: their own, and
those of the features that look back at them.
-#}
{%- macro insert_feature_changes(width="interval '1 hour'") -%}
    insert into {{ notes('hours') }}
    select distinct
        hours.hour_at as changed_hour_at,
        true as is_aftermath
    from raw.ingest_batches as loads
    inner join {{ notes('feature_batches') }} as changed on loads.batch_id = changed.batch_id
    cross join lateral generate_series(
        date_bin({{ width }}, loads.window_start_at, 'epoch'),
        loads.window_end_at + case loads.target
            when 'raw.metars' then interval '{{ var("weather_look_back_h") }} hours'
            else interval '{{ var("features_look_back_h") }} hours'
        end,
        {{ width }}
    ) as hours (hour_at)
    on conflict do nothing
{%- endmacro -%}

{#- Adds what this run rebuilds to what waits for a build of everything; overlapping ranges become one. -#}
{%- macro add_to_pending() -%}
    {{ merge_pending("select changed_icao24, changed_from_at, changed_through_at from " ~ notes('ranges')) }};

    insert into audit.pending_hours as pending (changed_hour_at, is_aftermath, is_taken)
    select changed_hour_at, is_aftermath, false as is_taken from {{ notes('hours') }}
    on conflict (changed_hour_at, is_taken) do update set
        is_aftermath = pending.is_aftermath and excluded.is_aftermath
{%- endmacro -%}

{#- Merges ranges with those that no build has taken yet. -#}
{%- macro merge_pending(others) -%}
    create temporary table joined on commit drop as
    select
        changed_icao24,
        unnest(range_agg(tstzrange(changed_from_at - 2 * {{ max_gap() }}, changed_through_at))) as affected
    from (
        select changed_icao24, changed_from_at, changed_through_at from audit.pending_ranges
        where not is_taken
        {{ 'union all ' ~ others if others }}
    ) as every
    group by changed_icao24;

    delete from audit.pending_ranges where not is_taken;
    insert into audit.pending_ranges (changed_icao24, changed_from_at, changed_through_at, is_taken)
    select
        changed_icao24,
        lower(affected) + 2 * {{ max_gap() }} as changed_from_at,
        upper(affected) as changed_through_at,
        false as is_taken
    from joined
{%- endmacro -%}

{#-
The contracts' not null where a table lacks it: after a change of the project tables are rebuilt with it, but not
where retention has dropped what they were made from. Rows of before that break it keep their column without it.
-#}
{%- macro add_constraints() -%}
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
    $$
{%- endmacro -%}

{#-
Marks the loads as done where the live models are built; after a full refresh, where all are. What is pending is done
with when the hourly models are built too, and all tests have passed.
-#}
{%- macro end_transform(results) -%}
{%- if execute and is_transform() -%}
    {%- set done = [] -%}
    {%- for result in results if result.status in ('success', 'pass', 'warn') -%}
        {%- do done.append(result.node.unique_id) -%}
    {%- endfor -%}
    {%- set failed = results | selectattr('status', 'in', ['fail', 'error']) | list -%}
    {%- set undone = {'live': [], 'hourly': [], 'test': []} -%}
    {%- for node in graph.nodes.values() if node.unique_id not in done -%}
        {#- What a view shows now is no row that waits for its test, nor is what a step of its own makes and tests. -#}
        {%- set tested = graph.nodes.get(node.attached_node or '') if node.resource_type == 'test' -%}
        {%- set is_apart = tested and (tested.config.materialized == 'standing_view' or 'fleet' in tested.config.tags) -%}
        {%- if node.resource_type == 'test' and not is_apart -%}
            {%- do undone.test.append(node.name) -%}
        {%- elif node.resource_type == 'model' and node.config.materialized in ('rebuilt', 'reference') -%}
            {#- A live pass leaves reference data to the build of everything, as a change of it does. -#}
            {%- set is_left = is_hourly(node) or (node.config.materialized == 'reference' and is_live_pass()) -%}
            {%- do undone['hourly' if is_left else 'live'].append(node.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set is_whole = run_query('select is_whole from ' ~ notes('horizon'))[0][0] -%}
    {#- After a red test the next run computes the same again: it may be that what was wrong has passed. -#}
    {%- if not failed and not undone.live and not (is_whole and undone.hourly) -%}
        {%- set fingerprint = env_var('SKYOPS_TRANSFORM_FINGERPRINT', '') -%}
    begin;
    {{ turn_of_hook() }}
    update raw.ingest_batches set transformed_at = now()
    where
        batch_id in (
            select batch_id from {{ notes('batches') }}
            union all
            select batch_id from {{ notes('feature_batches') }}
        );
    insert into audit.transform_state as state (fingerprint, horizon_at, finished_at, is_whole_pending)
    select nullif('{{ fingerprint }}', ''), latest_at, now(), is_whole_pending
    from {{ notes('horizon') }}
    on conflict (is_only) do update set
        -- Of a new project once all of its models are built.
        fingerprint = {{ 'state' if undone.hourly else 'excluded' }}.fingerprint,
        horizon_at = greatest(state.horizon_at, excluded.horizon_at),
        finished_at = excluded.finished_at,
        is_whole_pending = excluded.is_whole_pending;
        {%- if not undone.hourly and not undone.test %}
    delete from audit.pending_ranges where is_taken;
    delete from audit.pending_hours where is_taken;
    update audit.transform_state set is_whole_pending = false;
        {%- endif %}
    commit;
    {%- endif -%}
{%- endif -%}
{%- endmacro -%}

{#-
The rows that a data test reads: of a rebuilt table only those that no test has seen since they were rebuilt, so that
tests cost in proportion to the new data; all rows after a full refresh, and in `dbt test`.
-#}
{%- macro get_where_subquery(relation) -%}
    {%- set tested = graph.nodes.get(model.get('attached_node') or '') if execute -%}
    {%- if tested and tested.config.materialized == 'rebuilt' and flags.WHICH == 'build' -%}
        {%- set meta = tested.config.meta -%}
        {%- set condition = config.get('where') -%}
        (
            select * from (
                select stored.* from {{ relation }} as stored
                where (select is_whole_pending from {{ notes('horizon') }})
                union all
                select stored.* from {{ relation }} as stored
                inner join {{ changes_of(meta) }} as changes
                    on {{ is_changed(meta) }}
                where not (select is_whole_pending from {{ notes('horizon') }})
            ) as computed
            {{ 'where ' ~ condition if condition }}
        ) as tested
    {%- else -%}
        {{ return(default__get_where_subquery(relation)) }}
    {%- endif -%}
{%- endmacro -%}
