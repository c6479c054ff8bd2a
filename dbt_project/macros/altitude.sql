{#-
Which altitudes are believed. `stg_opensky__states` marks with `altitude_step` where a run of altitudes begins: where
the altitude cannot follow from the one before. Most addresses have one run in a flight. For the others
`judge_altitudes` goes from run to run (functions/judge_altitude_runs.sql) and masks those that are not believed,
looking back only.

A run is believed that follows from the last believed altitude. One that does not is believed as soon as the time
since has sufficed to get there, or it has lasted for longer than all that was believed, or that is forgotten: then
the altitudes before were the wrong ones, or the receivers had repeated an old one.
-#}

{#- From this many samples on, only time disproves what is believed, and no longer run. -#}
{%- macro established_altitude_count() -%}60{%- endmacro -%}

{#-
The geometric altitude differs by less than 1,000 m in 999 of 1,000 state vectors of the world, and by 1,400 m where
it is repeated.
-#}
{%- macro geo_apart_m() -%}2000{%- endmacro -%}

{#-
Begins a run of altitudes: null within one; empty where none was sent for longer than `max_gap()` before; else what
`judge_altitudes` asks for: the seconds since the altitude before, that and its geometric one, the new two, and the
rate of climb. A step is none that an aircraft climbs or descends at 25 m/s and its rate at either end, up to 50 m/s
(10,000 ft/min); 150 m allow for the grain of 25 ft and for clocks. Nor is it one while the geometric altitude
follows.
-#}
{%- macro altitude_step() -%}
{%- set step -%}(baro_altitude_m - lag(baro_altitude_m) over by_altitude){%- endset -%}
{%- set geo_step -%}(geo_altitude_m - lag(geo_altitude_m) over by_altitude){%- endset -%}
{%- set seconds -%}date_part('epoch', positioned_at - lag(positioned_at) over by_altitude){%- endset -%}
case
    when is_altitude_out_of_range is not false or (is_position_stale and is_same_altitude) then null
    when lag(positioned_at) over by_altitude >= comparable_from_at
        then
            case
                -- The 150 m first: they spare most rows the reckoning of time.
                when
                    abs({{ step }}) > 150
                    and (
                        abs({{ step }}) > 150 + {{ seconds }} * case
                            when vertical_rate_mps is null or lag(vertical_rate_mps) over by_altitude is null then 50
                            else
                                least(
                                    50,
                                    25 + greatest(abs(vertical_rate_mps), abs(lag(vertical_rate_mps) over by_altitude))
                                )
                        end
                        or coalesce(abs({{ step }} - {{ geo_step }}) > {{ geo_apart_m() }}, false)
                    )
                    then jsonb_build_array(
                        {{ seconds }},
                        lag(baro_altitude_m) over by_altitude,
                        lag(geo_altitude_m) over by_altitude,
                        baro_altitude_m,
                        geo_altitude_m,
                        abs(vertical_rate_mps)
                    )
            end
    else '[]'::jsonb
end
{%- endmacro -%}

{#- A post-hook of `stg_opensky__states`: masks the altitudes among the inserted rows that are not believed. -#}
{%- macro judge_altitudes() -%}
{%- if execute -%}
    {%- set is_whole = is_built_whole() -%}
    {%- if is_whole -%}
        {% do run_query(
            "create index on " ~ this ~ " (icao24, positioned_at)"
            " where altitude_step is not null or altitudes_wrong_from_at is not null"
        ) %}
    {%- endif -%}
    {% do run_query(stepping_addresses(is_whole)) %}
    {% do run_query('analyze stepping') %}
    {%- if run_query("select exists (select 1 from stepping)")[0][0] -%}
        {% do run_query(
            'create temporary table judged_runs on commit drop as select * from staging.judge_altitude_runs()'
        ) %}
        {% do run_query('analyze judged_runs') %}
        {% call statement('mask') -%}
            update {{ this }} as stored
            set
                altitude_m = null,
                masked_altitude_m = stored.altitude_m,
                masked_reasons = 'altitude_spike' || coalesce(',' || stored.masked_reasons, '')
            from judged_runs as disbelieved
            where
                stored.icao24 = disbelieved.icao24
                and stored.positioned_at >= disbelieved.from_at
                and stored.positioned_at < disbelieved.through_at
                and stored.altitude_m is not null;

            update {{ this }} as stored
            set altitudes_wrong_from_at = overturned.wrong_from_at
            from judged_runs as overturned
            where
                stored.icao24 = overturned.icao24
                and stored.positioned_at = overturned.from_at
                and overturned.wrong_from_at is not null
        {%- endcall %}
    {%- endif -%}
    {% do run_query('drop table if exists stepping, judged_runs') %}
{%- endif -%}
{%- endmacro -%}

{#- Addresses with a step, from where their altitudes begin: even before the range, as later altitudes depend on it. -#}
{%- macro stepping_addresses(is_whole) -%}
    create temporary table stepping on commit drop as
    {%- if is_whole %}
    select distinct
        icao24,
        '-infinity'::timestamptz as begun_at,
        '-infinity'::timestamptz as from_at,
        'infinity'::timestamptz as through_at
    from {{ this }}
    where altitude_step is not null and altitude_step <> '[]'
    {%- else %}
    select
        ranges.changed_icao24 as icao24,
        begun.positioned_at as begun_at,
        ranges.changed_from_at as from_at,
        ranges.changed_through_at as through_at
    from {{ notes('ranges') }} as ranges
    cross join lateral (
        select coalesce(max(begins.positioned_at), ranges.changed_from_at) as positioned_at
        from {{ this }} as begins
        where
            begins.icao24 = ranges.changed_icao24
            and begins.positioned_at <= ranges.changed_from_at
            and begins.altitude_step is not null
            and begins.altitude_step = '[]'
    ) as begun
    where exists (
        select 1 from {{ this }} as steps
        where
            steps.icao24 = ranges.changed_icao24
            and steps.positioned_at >= begun.positioned_at
            and steps.positioned_at < ranges.changed_through_at
            and steps.altitude_step is not null
            and steps.altitude_step <> '[]'
    )
    {%- endif %}
{%- endmacro -%}
