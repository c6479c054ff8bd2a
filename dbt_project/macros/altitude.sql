{#-
Which altitudes are believed. `stg_opensky__states` marks with `altitude_step` where a run of altitudes begins:
one that the altitude before cannot have become. Of most addresses no run but the first begins in a flight. Over
the others `judge_altitudes` goes run by run and masks those that are not believed, looking back only.

A run is believed that follows from the last believed altitude. One that does not is believed as soon as the time
since has sufficed to get there, or it has lasted for longer than all that was believed, or that is forgotten: then
the altitudes before were the wrong ones, or the receivers had repeated an old one.
-#}

{#- From so many samples on only time, and no longer run, parts with what was believed. -#}
{%- macro _established_count() -%}60{%- endmacro -%}

{#- The geometric altitude differs by less than 1,000 m in 999 of 1,000 state vectors of the world, and by 1,400 m where it is repeated. -#}
{%- macro _geo_apart_m() -%}2000{%- endmacro -%}

{#-
Begins a run of altitudes: null within one; empty where none was sent for longer than `max_gap()` before; else what
`judge_altitudes` asks for: the seconds since the altitude before, that and its geometric one, the new two, and the
rate of climb. A step is none that an aircraft climbs or descends at 25 m/s and its rate at either end, up to 50 m/s
(10,000 ft/min); 150 m allow for the grain of 25 ft and for clocks. Nor is it one while the geometric altitude follows.
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
                        or coalesce(abs({{ step }} - {{ geo_step }}) > {{ _geo_apart_m() }}, false)
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

{#- Masks what is not believed of the rows that were just inserted; `is_whole` when the table is new. -#}
{%- macro judge_altitudes(is_whole) -%}
    {%- if is_whole -%}
        {% do run_query(
            "create index on " ~ this ~ " (icao24, positioned_at)"
            " where altitude_step is not null or altitudes_wrong_from_at is not null"
        ) %}
    {%- endif -%}
    {% do run_query(_stepping(is_whole)) %}
    {%- if run_query("select exists (select 1 from stepping)")[0][0] -%}
        {% do run_query(_judge_runs()) %}
        {% call statement('mask') -%}
            update {{ this }} as stored
            set altitude_m = null, masked_reasons = concat_ws(',', 'altitude_spike', stored.masked_reasons)
            from disbelieved
            where
                stored.icao24 = disbelieved.icao24
                and stored.positioned_at >= disbelieved.from_at
                and stored.positioned_at < disbelieved.through_at
                and stored.altitude_m is not null;

            update {{ this }} as stored
            set altitudes_wrong_from_at = overturned.wrong_from_at
            from overturned
            where stored.icao24 = overturned.icao24 and stored.positioned_at = overturned.positioned_at
        {%- endcall %}
    {%- endif -%}
    {% do run_query('drop table if exists stepping, disbelieved, overturned') %}
{%- endmacro -%}

{#- Addresses with a step, from where their altitudes begin: before the range too, for what is believed goes on. -#}
{%- macro _stepping(is_whole) -%}
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
    from audit.transform_ranges as ranges
    cross join lateral (
        select coalesce(max(first.positioned_at), ranges.changed_from_at) as positioned_at
        from {{ this }} as first
        where
            first.icao24 = ranges.changed_icao24
            and first.positioned_at <= ranges.changed_from_at
            and first.altitude_step is not null
            and first.altitude_step = '[]'
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
    {%- endif %};
    analyze stepping
{%- endmacro -%}

{%- macro _judge_runs() -%}
{%- set samples -%}
from {{ this }} as samples
where
    samples.icao24 = run.icao24
    and (samples.altitude_m is not null or samples.masked_reasons like '%altitude_spike%')
    and samples.position_status <> 'stale'
{%- endset -%}
create temporary table disbelieved (icao24 text, from_at timestamptz, through_at timestamptz) on commit drop;
create temporary table overturned (icao24 text, positioned_at timestamptz, wrong_from_at timestamptz) on commit drop;

do $$
declare
    run record;
    age_s double precision;
    before_m double precision;
    before_geo_m double precision;
    sent_m double precision;
    sent_geo_m double precision;
    rate_mps double precision;
    -- What is believed, and what is not or no longer: from when on, the latest altitude, and of how many samples.
    believed_from_at timestamptz;
    believed_at timestamptz;
    believed_m double precision;
    believed_geo_m double precision;
    believed_count integer;
    other_from_at timestamptz;
    other_at timestamptz;
    other_m double precision;
    other_count integer;
    -- Whether, and from when on, the run before was believed.
    is_believed boolean;
    run_from_at timestamptz;
    run_count integer;
    speed_mps double precision;
    proven_at timestamptz;
    outlasted_at timestamptz;
    is_overturned boolean;
    is_off_geo boolean;
begin
    for run in
        select
            stepping.icao24,
            stepping.from_at as range_from_at,
            stored.positioned_at,
            stored.altitude_step,
            coalesce(
                lead(stored.positioned_at) over (
                    partition by stepping.icao24, stepping.from_at order by stored.positioned_at
                ),
                stepping.through_at
            ) as through_at
        from stepping
        inner join {{ this }} as stored
            on
                stepping.icao24 = stored.icao24
                and stored.positioned_at >= stepping.begun_at
                and stored.positioned_at < stepping.through_at
                and stored.altitude_step is not null
        order by stepping.icao24, stepping.from_at, stored.positioned_at
    loop
        if run.altitude_step = '[]' then
            is_believed := true;
            believed_at := null;
            believed_from_at := run.positioned_at;
            believed_count := 0;
            other_at := null;
            other_count := 0;
            run_from_at := run.positioned_at;
            continue;
        end if;

        age_s := run.altitude_step ->> 0;
        before_m := run.altitude_step ->> 1;
        before_geo_m := run.altitude_step ->> 2;
        sent_m := run.altitude_step ->> 3;
        sent_geo_m := run.altitude_step ->> 4;
        rate_mps := run.altitude_step ->> 5;
        -- The run before ends here.
        select count(*) into run_count
        from (
            select {{ samples }} and samples.positioned_at >= run_from_at and samples.positioned_at < run.positioned_at
            limit 10 * {{ _established_count() }}
        ) as counted;
        if is_believed then
            believed_at := run.positioned_at - age_s * interval '1 second';
            believed_m := before_m;
            believed_geo_m := before_geo_m;
            believed_count := believed_count + run_count;
        else
            other_at := run.positioned_at - age_s * interval '1 second';
            other_m := before_m;
            other_count := other_count + run_count;
        end if;
        run_from_at := run.positioned_at;

        speed_mps := least(50, 20 + coalesce(rate_mps, 10));
        if
            not is_believed
            and abs(sent_m - believed_m)
            <= 150 + speed_mps * date_part('epoch', run.positioned_at - believed_at)
            and run.positioned_at - believed_at <= {{ max_gap() }}
        then
            is_believed := true;
            continue;
        end if;

        if
            other_at is null
            or run.positioned_at - other_at > {{ max_gap() }}
            or abs(sent_m - other_m) > 150 + 15 * date_part('epoch', run.positioned_at - other_at)
        then
            other_count := 0;
            other_from_at := run.positioned_at;
        end if;
        -- With the geometric altitude far from the one and near to the other it is plain which is wrong.
        is_off_geo := abs(sent_geo_m - sent_m) > {{ _geo_apart_m() }} and abs(believed_geo_m - believed_m) <= {{ _geo_apart_m() }};
        is_overturned := coalesce(
            abs(sent_geo_m - sent_m) <= {{ _geo_apart_m() }} and abs(believed_geo_m - believed_m) > {{ _geo_apart_m() }},
            false
        );
        outlasted_at := null;
        if is_overturned then
            outlasted_at := run.positioned_at;
        elsif other_count > believed_count then
            outlasted_at := run.positioned_at;
            -- Back where it was, or where it has climbed to since: now both neighbours tell.
            is_overturned := abs(sent_m - other_m)
            <= 150 + coalesce(rate_mps, 15) * date_part('epoch', run.positioned_at - other_at);
        elsif believed_count < {{ _established_count() }} and is_off_geo is not true then
            select samples.positioned_at into outlasted_at
            {{ samples }} and samples.positioned_at >= run.positioned_at and samples.positioned_at < run.through_at
            order by samples.positioned_at
            offset believed_count - other_count
            limit 1;
            is_overturned := true;
        end if;
        -- What contradicts the geometric altitude, as what was believed does not, stays wrong.
        proven_at := case
            when is_off_geo is true then 'infinity'
            else
                believed_at
                + least({{ max_gap() }}, (abs(sent_m - believed_m) - 150) / speed_mps * interval '1 second')
        end;
        is_overturned := is_overturned and coalesce(outlasted_at <= greatest(run.positioned_at, proven_at), false);
        proven_at := greatest(run.positioned_at, least(proven_at, outlasted_at));

        if proven_at > run.positioned_at then
            insert into disbelieved
            select run.icao24, greatest(run.positioned_at, run.range_from_at), least(proven_at, run.through_at);
        end if;
        is_believed := proven_at < run.through_at;
        if is_believed then
            if is_overturned then
                insert into overturned select run.icao24, proven_at, believed_from_at
                where proven_at >= run.range_from_at;
            end if;
            -- The two change places.
            run_count := believed_count;
            believed_count := other_count;
            other_count := run_count;
            other_at := believed_at;
            other_m := believed_m;
            proven_at := other_from_at;
            other_from_at := believed_from_at;
            believed_from_at := proven_at;
        end if;
    end loop;
end
$$;

analyze disbelieved
{%- endmacro -%}
