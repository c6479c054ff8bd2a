{#-
What a live pass does differently. A build of everything rebuilds whole flights; a pass (`skyops follow`, every run
that leaves models tagged `hourly` out) begins within them, at what is new, and carries over what rules need of the time
before: the start of the flight, its highest level, the rings that it has entered, its summaries of ten minutes. The
next build of everything rebuilds the flights whole, so that its result does not depend on this.
-#}

{#-
A build of everything takes all that waits for it, also what one before took and did not finish, and rebuilds it from
the start of each range on. What a live pass adds from now on waits for the next build.
-#}
{%- macro take_pending() -%}
    update audit.pending_ranges set is_taken = false where is_taken;
    drop table joined;
    {{ merge_pending(none) }};
    update audit.pending_ranges set is_taken = true;

    insert into audit.pending_hours as pending (changed_hour_at, is_aftermath, is_taken)
    select changed_hour_at, is_aftermath, true as is_taken from audit.pending_hours
    where not is_taken
    on conflict (changed_hour_at, is_taken) do update set
        is_aftermath = pending.is_aftermath and excluded.is_aftermath;
    delete from audit.pending_hours where not is_taken;

    truncate {{ notes('ranges') }}, {{ notes('hours') }};
    insert into {{ notes('ranges') }} (
        changed_icao24, changed_from_at, changed_through_at,
        read_from_at, flight_from_at, event_read_from_at, event_from_at, anomaly_from_at
    )
    select
        changed_icao24,
        changed_from_at,
        changed_through_at,
        changed_from_at - 2 * {{ max_gap() }} as read_from_at,
        changed_from_at as flight_from_at,
        changed_from_at as event_read_from_at,
        changed_from_at as event_from_at,
        changed_from_at as anomaly_from_at
    from audit.pending_ranges;
    insert into {{ notes('hours') }} (changed_hour_at, is_aftermath)
    select changed_hour_at, is_aftermath from audit.pending_hours
{%- endmacro -%}

{#- Below this height above a field it is decided over many minutes what is a landing, a take-off or a stand. -#}
{%- macro low_m() -%}1600{%- endmacro -%}

{#- Heard or lost higher than this above the nearest field is neither a landing nor a take-off at any. -#}
{%- macro moment_m() -%}4000{%- endmacro -%}

{#-
Of crossings a live pass rebuilds those of the last minutes: what it lists are not hours but minutes. A landing can
change ten minutes before the position that withdraws it.
-#}
{%- macro cut_hours() -%}
    truncate {{ notes('hours') }};
    insert into {{ notes('hours') }}
    select
        bins.bin_at as changed_hour_at,
        bool_and(bins.bin_at > touched.through_at) as is_aftermath
    from (
        select distinct
            date_bin('1 minute', changed_from_at - {{ max_gap() }}, 'epoch') as from_at,
            date_bin('1 minute', changed_through_at, 'epoch') as through_at
        from touched
    ) as touched
    cross join lateral generate_series(
        touched.from_at,
        touched.through_at + interval '{{ var("features_look_back_h") }} hours',
        interval '1 minute'
    ) as bins (bin_at)
    group by bins.bin_at;
    {{ insert_feature_changes(hours_width()) }}
{%- endmacro -%}

{#- The fresh fixes of a range's key before a time, the latest first: with an altitude, as it is compared too. -#}
{%- macro fixes_before(states, time) -%}
select states.positioned_at
from {{ states }} as states
where
    states.icao24 = ranges.changed_icao24
    and states.positioned_at < {{ time }}
    and states.positioned_at >= greatest(ranges.whole_from_at, {{ time }} - 2 * {{ max_gap() }})
    and states.position_status = 'fresh'
    and (states.altitude_m is not null or states.masked_reasons like '%altitude_spike%')
order by states.positioned_at desc
{%- endmacro -%}

{#-
Cuts the ranges of a live pass within the flight, so that a pass costs what is new. Positions are rebuilt from the
last fresh one before the new ones on (`changed_from_at`), and read from some before that, as far as cleaning compares
(`read_from_at`). What happens near the ground is known only after a while: there movements and flights are rebuilt for
twenty minutes back (`event_from_at`), and read for ten more; higher, where reception begins and ends, for two minutes;
elsewhere as the positions are. An anomaly that goes on is rebuilt from its start. Flights that began before are carried
over (`flight_from_at`). Both keys of an address are cut at the same position.
-#}
{%- macro cut_ranges(states, segmented, summaries, anomalies) -%}
    with first_new as (
        select
            whole.changed_icao24,
            whole.changed_from_at as whole_from_at,
            whole.changed_through_at,
            min(touched.changed_from_at) as new_from_at
        from {{ notes('ranges') }} as whole
        inner join touched
            on
                left(whole.changed_icao24, 6) = touched.icao24
                and whole.changed_from_at <= touched.from_at
                and whole.changed_through_at > touched.from_at
        group by whole.changed_icao24, whole.changed_from_at, whole.changed_through_at
    ),

    cuts as (
        select
            ranges.*,
            greatest(
                ranges.whole_from_at,
                date_bin(
                    '10 seconds',
                    coalesce(
                        min(latest.positioned_at) over (
                            partition by left(ranges.changed_icao24, 6), ranges.whole_from_at
                        ),
                        ranges.new_from_at - 2 * {{ max_gap() }}
                    ),
                    'epoch'
                )
            ) as cut_at
        from first_new as ranges
        left join lateral (
            {{ fixes_before(states, 'ranges.new_from_at') }}
            limit 1
        ) as latest on true
    ),

    compared as (
        select
            ranges.*,
            -- Of an address that is heard, from the third fix before the cut on.
            coalesce(
                min(
                    case
                        when before.latest_at is not null
                            then coalesce(before.third_at, ranges.cut_at - 2 * {{ max_gap() }})
                    end
                ) over (partition by left(ranges.changed_icao24, 6), ranges.whole_from_at),
                ranges.cut_at - 2 * {{ max_gap() }}
            ) as compared_from_at
        from cuts as ranges
        cross join lateral (
            select
                max(latest.positioned_at) as latest_at,
                (array_agg(latest.positioned_at order by latest.positioned_at desc))[3] as third_at
            from (
                {{ fixes_before(states, 'ranges.cut_at') }}
                limit 3
            ) as latest
        ) as before
    ),

    read as (
        select
            *,
            case
                when cut_at > whole_from_at then compared_from_at
                else whole_from_at - 2 * {{ max_gap() }}
            end as read_from_at
        from compared
    ),

    -- How low it was, and since when an anomaly goes on.
    known as (
        select
            read.*,
            summary.lowest_m,
            going_on.started_at
        from read
        cross join lateral (
            select min(summaries.lowest_m) as lowest_m
            from {{ summaries }} as summaries
            where
                summaries.icao24 = read.changed_icao24
                and summaries.started_at >= read.new_from_at - 3 * {{ max_gap() }}
                and summaries.started_at < read.new_from_at
                and summaries.ended_at >= read.new_from_at - 2 * {{ max_gap() }}
        ) as summary
        cross join lateral (
            select min(anomalies.started_at) as started_at
            from {{ anomalies }} as anomalies
            where
                anomalies.icao24 = read.changed_icao24
                and anomalies.started_at >= read.whole_from_at
                and anomalies.started_at < read.new_from_at
                and anomalies.ended_at >= read.new_from_at - {{ max_gap() }}
        ) as going_on
    ),

    -- Of two times the earlier; one that is null does not count.
    events as (
        select
            *,
            least(
                started_at,
                case
                    when lowest_m < {{ moment_m() }}
                        then greatest(
                            whole_from_at,
                            date_bin(
                                '10 seconds',
                                case
                                    when lowest_m < {{ low_m() }} then new_from_at - 2 * {{ max_gap() }}
                                    else cut_at - interval '{{ var("silence_s") }} seconds'
                                end,
                                'epoch'
                            )
                        )
                    else cut_at
                end
            ) as event_from_at,
            greatest(
                whole_from_at,
                least(
                    started_at - {{ max_gap() }},
                    case
                        when lowest_m < {{ low_m() }} then new_from_at - 3 * {{ max_gap() }}
                        when lowest_m < {{ moment_m() }}
                            then read_from_at - 2 * interval '{{ var("silence_s") }} seconds'
                        else compared_from_at
                    end
                )
            ) as event_read_from_at
        from known
    ),

    bounds as (
        select
            *,
            -- An event of a sparse feed is one after some minutes only.
            greatest(whole_from_at, event_from_at - interval '5 minutes') as anomaly_from_at
        from events
    )

    update {{ notes('ranges') }} as ranges set
        changed_from_at = bounds.cut_at,
        read_from_at = bounds.read_from_at,
        event_from_at = bounds.event_from_at,
        event_read_from_at = bounds.event_read_from_at,
        anomaly_from_at = bounds.anomaly_from_at,
        flight_from_at = coalesce(
            (
                select max(carried.flight_started_at)
                from {{ segmented }} as carried
                where
                    carried.icao24 = bounds.changed_icao24
                    and carried.flight_started_at <= least(bounds.event_read_from_at, bounds.anomaly_from_at)
                    and carried.flight_started_at >= bounds.whole_from_at
            ),
            bounds.whole_from_at
        )
    from bounds
    where
        ranges.changed_icao24 = bounds.changed_icao24
        and ranges.changed_through_at = bounds.changed_through_at
{%- endmacro -%}

{#- A post-hook of `int_flights__segmented` in a live pass: the end of the flight that goes on from before the cut. -#}
{%- macro extend_carried_flights() -%}
    {%- if is_cut() -%}{{ extend_flights_to_latest() }}{%- endif -%}
{%- endmacro -%}

{%- macro extend_flights_to_latest() -%}
    update {{ this }} as flights
    set flight_ended_at = latest.positioned_at
    from (
        select
            ranges.changed_icao24,
            ranges.changed_through_at,
            max(carried.flight_started_at) filter (where carried.flight_started_at < ranges.event_from_at) as started_at,
            min(carried.flight_started_at) filter (where carried.flight_started_at >= ranges.event_from_at) as next_at
        from {{ notes('ranges') }} as ranges
        inner join {{ this }} as carried
            on
                ranges.changed_icao24 = carried.icao24
                and ranges.flight_from_at <= carried.flight_started_at
                and ranges.changed_through_at > carried.flight_started_at
        group by ranges.changed_icao24, ranges.changed_through_at
    ) as going_on
    cross join lateral (
        select states.positioned_at
        from {{ ref('stg_opensky__states') }} as states
        where
            states.icao24 = going_on.changed_icao24
            and states.positioned_at >= going_on.started_at
            and states.positioned_at < least(going_on.next_at, going_on.changed_through_at)
        order by states.positioned_at desc
        limit 1
    ) as latest
    where
        flights.icao24 = going_on.changed_icao24
        and flights.flight_started_at = going_on.started_at
        and flights.flight_ended_at <> latest.positioned_at
{%- endmacro -%}

{#-
A post-hook of `int_flights__segmented` in a live pass: where a flight begins, or begins no longer, before the
positions that are rebuilt, as a new callsign is believed only after a while, they are rebuilt from there on.
-#}
{%- macro extend_to_new_flights() -%}
    {%- if is_cut() -%}{{ extend_ranges_to_new_flights() }}{%- endif -%}
{%- endmacro -%}

{%- macro extend_ranges_to_new_flights() -%}
    update {{ notes('ranges') }} as ranges
    set changed_from_at = greatest(ranges.event_from_at, date_bin('10 seconds', other.first_at, 'epoch'))
    from (
        select
            ranges.changed_icao24,
            ranges.changed_through_at,
            min(other.flight_started_at) as first_at
        from {{ notes('ranges') }} as ranges
        cross join lateral (
            (
                select segmented.flight_id, segmented.flight_started_at
                from {{ this }} as segmented
                where
                    segmented.icao24 = ranges.changed_icao24
                    and segmented.flight_started_at >= ranges.event_from_at
                    and segmented.flight_started_at < ranges.changed_from_at
                except
                select flights.flight_id, flights.first_seen_at
                from metrics.fct_flights as flights
                where
                    flights.icao24 = ranges.changed_icao24
                    and flights.first_seen_at >= ranges.event_from_at
            )
            union all
            (
                select flights.flight_id, flights.first_seen_at
                from metrics.fct_flights as flights
                where
                    flights.icao24 = ranges.changed_icao24
                    and flights.first_seen_at >= ranges.event_from_at
                    and flights.first_seen_at < ranges.changed_from_at
                except
                select segmented.flight_id, segmented.flight_started_at
                from {{ this }} as segmented
                where
                    segmented.icao24 = ranges.changed_icao24
                    and segmented.flight_started_at >= ranges.event_from_at
            )
        ) as other
        group by ranges.changed_icao24, ranges.changed_through_at
    ) as other
    where
        ranges.changed_icao24 = other.changed_icao24
        and ranges.changed_through_at = other.changed_through_at
{%- endmacro -%}

{#- Whether an aircraft counts as flown from its first position on: in a live pass it may have flown before the cut. -#}
{%- macro has_flown_before_cut() -%}
    {{ 'true' if is_cut() else 'false' }}
{%- endmacro -%}

{#- In a live pass: the flights that go on from before the cut, among what begins a flight. -#}
{%- macro union_carried_flights() -%}
{%- if is_cut() -%}
    union all
    select
        carried.icao24,
        carried.flight_started_at as positioned_at,
        {{ changed_from('event_from_at') }} as changed_from_at,
        {{ changed_through() }} as changed_through_at,
        false as is_turnaround
    from {{ this }} as carried
    {{ join_changes('carried', 'flight_started_at', since='flight_from_at') }}
    where carried.flight_started_at < {{ changed_from('event_from_at') }}
{%- endif -%}
{%- endmacro -%}

{#- The flight's highest level before the cut; null where nothing is cut. -#}
{%- macro carried_top_m(flights) -%}
{%- if is_cut() -%}
(
    select positions.top_m
    from {{ this }} as positions
    where
        positions.icao24 = {{ flights }}.icao24
        and positions.positioned_at >= {{ flights }}.flight_started_at
        and positions.positioned_at < {{ changed_from() }}
    order by positions.positioned_at desc
    limit 1
)
{%- else -%}
null::double precision
{%- endif -%}
{%- endmacro -%}

{#- In a live pass: leaves out the rings that the flight has entered before the cut. -#}
{%- macro and_not_entered_before(entries, rings) -%}
{%- if is_cut() -%}
    and not exists (
        select 1
        from {{ this }} as earlier
        {{ join_changes('earlier', 'first_inside_at', since='flight_from_at') }}
        where
            earlier.icao24 = {{ entries }}.icao24
            and earlier.flight_id = {{ entries }}.flight_id
            and earlier.airport = {{ entries }}.airport
            and earlier.ring_nm = {{ rings }}.ring_nm
    )
{%- endif -%}
{%- endmacro -%}
