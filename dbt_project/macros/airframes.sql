{#-
Two aircraft that send one address. The second one's rows of `stg_opensky__states` get a key of their own, the
address and `-2`; all models go by that key, so each aircraft has its flights.

Which position is whose a tracker says that looks back only: a position belongs to the airframe that can have
flown there from its last one within `max_gap()`, to the nearer if both can (a second's age counts as 100 m). What
neither can have reached is a jump, until so many such positions hang together that they are an aircraft. Without
a jump all are the first airframe's: so it runs only over stretches (between two silences of the address) with a jump in them.
-#}

{#- The key of the second airframe of an address is the address and this. -#}
{%- macro second_airframe() -%}-2{%- endmacro -%}

{#- The keys of an address, as rows `suffix`. -#}
{%- macro airframe_suffixes() -%}(values (''), ('{{ second_airframe() }}')) as airframes (suffix){%- endmacro -%}

{#- So many positions that hang together within `max_gap()` are an aircraft, and no wild values. -#}
{%- macro airframe_fixes() -%}10{%- endmacro -%}

{#- What is nearer than this to an airframe is that one, timed by another clock: 20 s at 250 m/s. -#}
{%- macro airframe_apart_m() -%}5000{%- endmacro -%}

{%- macro split_airframes(is_whole) -%}
    {%- if is_whole -%}
        {% do run_query("create index on " ~ this ~ " (icao24, positioned_at) where position_status = 'jump'") %}
    {%- endif -%}
    {% do run_query(_contested_stretches(is_whole)) %}
    {%- set first_at = run_query("select min(first_at)::text from contested")[0][0] -%}
    {%- if first_at is not none -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='quoted') | join(', ') -%}
        {% do run_query(_contested_fixes(first_at)) %}
        {% do run_query(_track_airframes()) %}
        {% call statement('split') -%}
            delete from {{ this }} as stored using contested
            where
                stored.icao24 = contested.icao24
                and stored.positioned_at between contested.from_at and contested.last_at;

            insert into {{ this }} ({{ columns }})
            select {{ columns }} from (
                with deduplicated as (
                    select
                        tracked.icao24,
                        contested_fixes.*,
                        tracked.is_jump,
                        contested_fixes.from_at as changed_from_at
                    from contested_fixes
                    inner join tracked using (address, positioned_at)
                ),

                {{ cleaned_states(is_tracked=true) }}
            ) as computed
        {%- endcall %}
    {%- endif -%}
    {% do run_query('drop table if exists contested, contested_fixes, tracked') %}
{%- endmacro -%}

{#-
Stretches with a jump, or with a second airframe from before. They begin with the silence, before the
range too: what the tracker then says of rows that stay is what it has said of them.
-#}
{%- macro _contested_stretches(is_whole) -%}
    create temporary table contested on commit drop as
    with suspects as (
        {%- if is_whole %}
        select distinct icao24, '-infinity'::timestamptz as from_at, 'infinity'::timestamptz as through_at
        from {{ this }}
        where position_status = 'jump'
        {%- else %}
        select changed_icao24 as icao24, changed_from_at as from_at, changed_through_at as through_at
        from audit.transform_ranges
        where
            right(changed_icao24, 2) <> '{{ second_airframe() }}'
            and (
                exists (
                    select from {{ this }} as jumps
                    where
                        jumps.icao24 = changed_icao24
                        and jumps.position_status = 'jump'
                        and jumps.positioned_at >= changed_from_at - {{ max_gap() }}
                        and jumps.positioned_at < changed_through_at
                )
                or exists (
                    select from {{ this }} as seconds
                    where
                        seconds.icao24 = changed_icao24 || '{{ second_airframe() }}'
                        and seconds.positioned_at >= changed_from_at - {{ max_gap() }}
                        and seconds.positioned_at < changed_from_at
                )
            )
        {%- endif %}
    ),

    begun as (
        select suspects.*, coalesce(silence.through_at, suspects.from_at) as silent_until_at
        from suspects
        left join lateral (
            select max(latest.positioned_at) as through_at
            from {{ airframe_suffixes() }}
            cross join lateral (
                select started.positioned_at
                from {{ this }} as started
                where
                    started.icao24 = suspects.icao24 || airframes.suffix
                    and started.is_after_silence
                    and started.positioned_at <= suspects.from_at
                    and not exists (
                        select from {{ airframe_suffixes() }}
                        inner join {{ this }} as before on before.icao24 = suspects.icao24 || airframes.suffix
                        where
                            before.positioned_at < started.positioned_at
                            and before.positioned_at >= started.positioned_at - {{ max_gap() }}
                    )
                order by started.positioned_at desc
                limit 1
            ) as latest
        ) as silence on true
    ),

    heard as (
        select
            begun.icao24,
            begun.from_at,
            states.positioned_at,
            states.position_status = 'jump' or states.icao24 <> begun.icao24 as is_contested,
            coalesce(states.positioned_at - lag(states.positioned_at) over by_address > {{ max_gap() }}, true)
                as is_after_silence
        from begun
        cross join {{ airframe_suffixes() }}
        inner join {{ this }} as states
            on
                states.icao24 = begun.icao24 || airframes.suffix
                and states.positioned_at >= begun.silent_until_at
                and states.positioned_at < begun.through_at
        window by_address as (partition by begun.icao24, begun.from_at order by states.positioned_at)
    ),

    numbered as (
        select
            *,
            count(*) filter (where is_after_silence)
                over (partition by icao24, from_at order by positioned_at) as stretch
        from heard
    )

    select
        icao24,
        greatest(from_at, min(positioned_at)) as from_at,
        min(positioned_at) as first_at,
        max(positioned_at) as last_at
    from numbered
    group by numbered.icao24, numbered.from_at, stretch
    having bool_or(is_contested) and max(positioned_at) >= numbered.from_at
{%- endmacro -%}

{%- macro _contested_fixes(first_at) -%}
    analyze contested;
    create temporary table contested_fixes on commit drop as
    select distinct on (opensky_states.icao24, time_position)
        opensky_states.icao24 as address,
        {{ state_columns() }},
        contested.from_at,
        contested.first_at
    from raw.opensky_states
    inner join contested using (icao24)
    where
        time_position between contested.first_at and contested.last_at
        and time_position >= '{{ first_at }}'
    order by
        opensky_states.icao24 asc,
        time_position asc,
        {{ fullest_first() }};
    analyze contested_fixes
{%- endmacro -%}

{%- macro _track_airframes() -%}
create temporary table tracked (
    address text, positioned_at timestamptz, icao24 text, is_jump boolean
) on commit drop;

do $$
declare
    fix record;
    stretch text;
    -- Of the two airframes: the last position that is no jump, when it was first and last sent, and of how
    -- many it is the latest.
    latitudes double precision[];
    longitudes double precision[];
    fresh_ats timestamptz[];
    heard_ats timestamptz[];
    counts integer[];
    -- The position before that one, and the speed from there.
    former_latitudes double precision[];
    former_longitudes double precision[];
    former_ats timestamptz[];
    flown_speeds double precision[];
    -- Whether that one was sent right before, and not repeated.
    is_next boolean[];
    speed double precision;
    -- The same of what may become an airframe.
    new_latitude double precision;
    new_longitude double precision;
    new_fresh_at timestamptz;
    new_begun_at timestamptz;
    new_count integer;
    is_alive boolean[];
    distance double precision;
    aged double precision;
    nearest double precision;
    host integer;
    host_distance double precision;
    airframe integer;
    is_jump boolean;
    is_moving boolean;
begin
    for fix in
        select address, positioned_at, first_at, latitude_deg, longitude_deg, is_on_ground, velocity_mps
        from contested_fixes
        order by address, positioned_at
    loop
        if stretch is distinct from fix.address || fix.first_at then
            stretch := fix.address || fix.first_at;
            latitudes := array_fill(null::double precision, array[2]);
            longitudes := latitudes;
            fresh_ats := array_fill(null::timestamptz, array[2]);
            heard_ats := fresh_ats;
            counts := array[0, 0];
            former_latitudes := latitudes;
            former_longitudes := latitudes;
            former_ats := fresh_ats;
            flown_speeds := latitudes;
            is_next := array[false, false];
            new_count := 0;
        end if;
        speed := case when fix.velocity_mps between 0 and 515 then fix.velocity_mps end;
        -- As in the cleaning: who moves and repeats a position has sent none.
        is_moving := (not fix.is_on_ground or fix.velocity_mps > 5) is true;
        airframe := null;
        is_jump := false;
        for k in 1..2 loop
            if
                is_moving
                and fix.latitude_deg = latitudes[k]
                and fix.longitude_deg = longitudes[k]
                and fix.positioned_at - heard_ats[k] <= {{ max_gap() }}
            then
                airframe := k;
                heard_ats[k] := fix.positioned_at;
                exit;
            end if;
        end loop;

        if airframe is null then
            nearest := null;
            host := null;
            for k in 1..2 loop
                is_alive[k] := coalesce(fix.positioned_at - fresh_ats[k] <= {{ max_gap() }}, false);
                if is_alive[k] then
                    distance := {{ distance_m('latitudes[k]', 'longitudes[k]', 'fix.latitude_deg', 'fix.longitude_deg') }};
                    if host is null or distance < host_distance then
                        host := k;
                        host_distance := distance;
                    end if;
                    -- One who landed here minutes ago counts for less than one who is just flying by.
                    aged := distance + 100 * date_part('epoch', fix.positioned_at - fresh_ats[k]);
                    if
                        distance <= {{ reach_m('fix.positioned_at - fresh_ats[k]') }}
                        -- Who is heard all the time does not fly back: what does is an old position that comes late.
                        -- The cleaning marks whatever this finds.
                        and not coalesce(
                            distance > 1000
                            and heard_ats[k] = fresh_ats[k]
                            and is_next[k]
                            and fix.positioned_at - fresh_ats[k] <= {{ turning() }}
                            and fresh_ats[k] - former_ats[k] <= {{ turning() }}
                            and flown_speeds[k] between 60 and 515
                            and {{ is_back(
                                'former_latitudes[k]',
                                'former_longitudes[k]',
                                'latitudes[k]',
                                'longitudes[k]',
                                'fix.latitude_deg',
                                'fix.longitude_deg',
                            ) }},
                            false
                        )
                        and (nearest is null or aged < nearest)
                    then
                        airframe := k;
                        nearest := aged;
                    end if;
                end if;
            end loop;

            -- On from the position before the last one, as fast as it flies: then the last one, which it flew to
            -- faster or slower, came late.
            if
                airframe is null
                and flown_speeds[host] not between 0.7 * speed and 1.3 * speed
                and fix.positioned_at - former_ats[host] <= interval '60 seconds'
                and {{ distance_m('former_latitudes[host]', 'former_longitudes[host]', 'fix.latitude_deg', 'fix.longitude_deg') }}
                <= 500 + 1.2 * speed * date_part('epoch', fix.positioned_at - former_ats[host])
            then
                airframe := host;
                new_count := 0;
                latitudes[host] := former_latitudes[host];
                longitudes[host] := former_longitudes[host];
                fresh_ats[host] := former_ats[host];
            end if;

            if airframe is null and host is null then
                airframe := 1;
                new_count := 0;
            elsif airframe is null then
                airframe := host;
                is_jump := true;
                if
                    new_count > 0
                    and fix.positioned_at - new_fresh_at <= {{ max_gap() }}
                    and fix.positioned_at - new_begun_at <= {{ max_gap() }}
                    and {{ distance_m('new_latitude', 'new_longitude', 'fix.latitude_deg', 'fix.longitude_deg') }}
                    <= {{ reach_m('fix.positioned_at - new_fresh_at') }}
                then
                    if not is_moving or fix.latitude_deg <> new_latitude or fix.longitude_deg <> new_longitude then
                        new_count := new_count + 1;
                        new_fresh_at := fix.positioned_at;
                    end if;
                else
                    new_count := 1;
                    new_begun_at := fix.positioned_at;
                    new_fresh_at := fix.positioned_at;
                end if;
                new_latitude := fix.latitude_deg;
                new_longitude := fix.longitude_deg;

                if
                    -- The wild positions were those before.
                    (
                        new_count > counts[host]
                        and counts[host] < 3
                        and not (is_alive[1] and is_alive[2])
                    )
                    -- The airframe itself, by another clock: it goes on there.
                    or (
                        new_count > 1
                        and host_distance <= {{ airframe_apart_m() }}
                        and heard_ats[host] < new_begun_at
                    )
                then
                    is_jump := false;
                elsif
                    new_count >= {{ airframe_fixes() }}
                    and host_distance > {{ airframe_apart_m() }}
                    and not (is_alive[1] and is_alive[2])
                then
                    airframe := 3 - host;
                    is_jump := false;
                end if;
                if not is_jump then
                    is_alive[airframe] := true;
                    counts[airframe] := new_count - 1;
                    new_count := 0;
                end if;
            end if;

            if not is_jump then
                is_next[airframe] := heard_ats[airframe] = fresh_ats[airframe];
                if fix.positioned_at - fresh_ats[airframe] <= {{ max_gap() }} then
                    former_latitudes[airframe] := latitudes[airframe];
                    former_longitudes[airframe] := longitudes[airframe];
                    former_ats[airframe] := fresh_ats[airframe];
                    flown_speeds[airframe] := {{ distance_m('latitudes[airframe]', 'longitudes[airframe]', 'fix.latitude_deg', 'fix.longitude_deg') }}
                    / nullif(date_part('epoch', fix.positioned_at - fresh_ats[airframe]), 0);
                else
                    former_ats[airframe] := null;
                    former_latitudes[airframe] := null;
                    flown_speeds[airframe] := null;
                end if;
                latitudes[airframe] := fix.latitude_deg;
                longitudes[airframe] := fix.longitude_deg;
                fresh_ats[airframe] := fix.positioned_at;
                heard_ats[airframe] := fix.positioned_at;
                counts[airframe] := case
                    when is_alive[airframe] then least(counts[airframe] + 1, {{ airframe_fixes() }}) else 1
                end;
            end if;
        end if;

        insert into tracked
        values (
            fix.address,
            fix.positioned_at,
            fix.address || case when airframe = 2 then '{{ second_airframe() }}' else '' end,
            is_jump
        );
    end loop;
end
$$;

analyze tracked
{%- endmacro -%}
