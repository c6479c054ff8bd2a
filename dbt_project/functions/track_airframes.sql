-- Of each position in `contested_fixes` (macros/airframes.sql): which of the two airframes that send its address it
-- belongs to, or whether it is a jump of the nearer one. The tracker goes through each stretch in the order of time.
create function staging.track_airframes()
returns table (address text, positioned_at timestamptz, icao24 text, is_jump boolean)
language plpgsql
stable
as $$
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
    is_moving boolean;
begin
    for fix in
        select
            fixes.address,
            fixes.positioned_at,
            fixes.first_at,
            fixes.latitude_deg,
            fixes.longitude_deg,
            fixes.is_on_ground,
            fixes.velocity_mps
        from contested_fixes as fixes
        order by fixes.address, fixes.positioned_at
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

        address := fix.address;
        positioned_at := fix.positioned_at;
        icao24 := fix.address || case when airframe = 2 then '{{ second_airframe() }}' else '' end;
        return next;
    end loop;
end
$$
