{#-
Two aircraft that send one address. The second one's rows of `stg_opensky__states` get a key of their own, the address
and `-2`; all models go by that key, so each aircraft has its flights.

A tracker (functions/track_airframes.sql) assigns each position to an airframe, looking back only: to the one that can
have flown there from its last position within `max_gap()`, to the nearer if both can (a second of age counts as 100
m). A position that neither can have reached is a jump, until enough such positions follow from one another to be an
aircraft. Without a jump all positions are the first airframe's, so the tracker runs only over stretches (between two
silences of the address) that contain one.
-#}

{#- The suffix that makes an address the key of its second airframe. -#}
{%- macro second_airframe() -%}-2{%- endmacro -%}

{#- The keys of an address, as rows `suffix`. -#}
{%- macro airframe_suffixes() -%}(values (''), ('{{ second_airframe() }}')) as airframes (suffix){%- endmacro -%}

{#- This many positions that follow from one another within `max_gap()` are an aircraft, not wild values. -#}
{%- macro airframe_fixes() -%}10{%- endmacro -%}

{#- A position nearer than this to an airframe is its own, timed by another clock: 20 s at 250 m/s. -#}
{%- macro airframe_apart_m() -%}5000{%- endmacro -%}

{#-
A post-hook of `stg_opensky__states`: deletes the contested stretches among the inserted rows and inserts them again,
cleaned airframe by airframe.
-#}
{%- macro split_airframes() -%}
{%- if execute -%}
    {%- set is_whole = is_built_whole() -%}
    {%- if is_whole -%}
        {% do run_query("create index on " ~ this ~ " (icao24, positioned_at) where position_status = 'jump'") %}
    {%- endif -%}
    {%- set states, ranges = this, notes('ranges') -%}
    {%- if is_citus() -%}
        {#- A second airframe's rows lie on another server than the first one's. -#}
        {% do run_query(copy_suspected(is_whole)) %}
        {%- set states, ranges = 'suspected_states', 'suspected_ranges' -%}
    {%- endif -%}
    {% do run_query(contested_stretches(is_whole, states, ranges)) %}
    {%- set first_at = run_query("select min(first_at)::text from contested")[0][0] -%}
    {%- if first_at is not none -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='quoted') | join(', ') -%}
        {% do run_query(contested_fixes(first_at)) %}
        {% do run_query('create temporary table tracked on commit drop as select * from staging.track_airframes()') %}
        {% do run_query('analyze tracked') %}
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
    {% do run_query('drop table if exists suspected_states, suspected_ranges, contested, contested_fixes, tracked') %}
{%- endif -%}
{%- endmacro -%}

{#- On Citus: copies, on the coordinator, of what the stretches are found in: both keys of the addresses with any. -#}
{%- macro copy_suspected(is_whole) -%}
    create temporary table suspected_addresses on commit drop as
    {%- if is_whole %}
    select distinct left(icao24, 6) as address from {{ this }}
    where position_status = 'jump'
    {%- else %}
    select distinct left(ranges.changed_icao24, 6) as address
    from {{ notes('ranges') }} as ranges
    inner join {{ this }} as states on ranges.changed_icao24 = states.icao24
    where
        states.positioned_at >= ranges.changed_from_at - {{ max_gap() }}
        and states.positioned_at < ranges.changed_through_at
        and (states.position_status = 'jump' or right(states.icao24, 2) = '{{ second_airframe() }}')
    {%- endif %};
    create temporary table suspected_states on commit drop as
    select
        states.icao24,
        states.positioned_at,
        states.position_status,
        states.is_after_silence
    from {{ this }} as states
    inner join suspected_addresses on left(states.icao24, 6) = suspected_addresses.address;
    create index on suspected_states (icao24, positioned_at);
    analyze suspected_states;
    create temporary table suspected_ranges on commit drop as
    select ranges.* from {{ notes('ranges') }} as ranges
    inner join suspected_addresses on left(ranges.changed_icao24, 6) = suspected_addresses.address;
    drop table suspected_addresses
{%- endmacro -%}

{#-
The stretches with a jump, or with a second airframe from before. They begin with the silence, even before the range:
for rows that stay, the tracker then gives the same result as before.
-#}
{%- macro contested_stretches(is_whole, states, ranges) -%}
    create temporary table contested on commit drop as
    with suspects as (
        {%- if is_whole %}
        select distinct icao24, '-infinity'::timestamptz as from_at, 'infinity'::timestamptz as through_at
        from {{ states }}
        where position_status = 'jump'
        {%- else %}
        select
            ranges.changed_icao24 as icao24,
            ranges.changed_from_at as from_at,
            ranges.changed_through_at as through_at
        from {{ ranges }} as ranges
        where
            right(ranges.changed_icao24, 2) <> '{{ second_airframe() }}'
            and (
                exists (
                    select 1 from {{ states }} as jumps
                    where
                        jumps.icao24 = ranges.changed_icao24
                        and jumps.position_status = 'jump'
                        and jumps.positioned_at >= ranges.changed_from_at - {{ max_gap() }}
                        and jumps.positioned_at < ranges.changed_through_at
                )
                or exists (
                    select 1 from {{ states }} as seconds
                    where
                        seconds.icao24 = ranges.changed_icao24 || '{{ second_airframe() }}'
                        and seconds.positioned_at >= ranges.changed_from_at - {{ max_gap() }}
                        and seconds.positioned_at < ranges.changed_from_at
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
                from {{ states }} as started
                where
                    started.icao24 = suspects.icao24 || airframes.suffix
                    and started.is_after_silence
                    and started.positioned_at <= suspects.from_at
                    and not exists (
                        select 1 from {{ airframe_suffixes() }}
                        inner join {{ states }} as earlier on suspects.icao24 || airframes.suffix = earlier.icao24
                        where
                            earlier.positioned_at < started.positioned_at
                            and earlier.positioned_at >= started.positioned_at - {{ max_gap() }}
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
        inner join {{ states }} as states
            on
                begun.icao24 || airframes.suffix = states.icao24
                and begun.silent_until_at <= states.positioned_at
                and begun.through_at > states.positioned_at
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
    group by icao24, from_at, stretch
    having bool_or(is_contested) and max(positioned_at) >= from_at
{%- endmacro -%}

{%- macro contested_fixes(first_at) -%}
    analyze contested;
    create temporary table contested_fixes on commit drop as
    select distinct on (opensky_states.icao24, time_position)
        opensky_states.icao24 as address,
        {{ state_columns() }},
        contested.from_at,
        contested.first_at
    from raw.opensky_states
    inner join contested on opensky_states.icao24 = contested.icao24
    where
        time_position between contested.first_at and contested.last_at
        and time_position >= '{{ first_at }}'
    order by
        opensky_states.icao24 asc,
        time_position asc,
        {{ fullest_first() }};
    analyze contested_fixes
{%- endmacro -%}
