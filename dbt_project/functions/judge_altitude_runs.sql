-- Goes through the runs of altitudes of the addresses in `stepping` (macros/altitude.sql). Its rows are of two kinds:
-- times in which altitudes are not believed (from_at, through_at); and a time (from_at) that shows that altitudes since
-- wrong_from_at, although they were believed, were wrong.
create function staging.judge_altitude_runs()
returns table (icao24 text, from_at timestamptz, through_at timestamptz, wrong_from_at timestamptz)
language plpgsql
stable
as $$
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
        inner join staging.stg_opensky__states as stored
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
            select 1
            from staging.stg_opensky__states as samples
            where
                samples.icao24 = run.icao24
                and (samples.altitude_m is not null or samples.masked_reasons like '%altitude_spike%')
                and samples.position_status <> 'stale'
                and samples.positioned_at >= run_from_at
                and samples.positioned_at < run.positioned_at
            limit 10 * {{ established_altitude_count() }}
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
        is_off_geo := abs(sent_geo_m - sent_m) > {{ geo_apart_m() }} and abs(believed_geo_m - believed_m) <= {{ geo_apart_m() }};
        is_overturned := coalesce(
            abs(sent_geo_m - sent_m) <= {{ geo_apart_m() }} and abs(believed_geo_m - believed_m) > {{ geo_apart_m() }},
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
        elsif believed_count < {{ established_altitude_count() }} and is_off_geo is not true then
            select samples.positioned_at into outlasted_at
            from staging.stg_opensky__states as samples
            where
                samples.icao24 = run.icao24
                and (samples.altitude_m is not null or samples.masked_reasons like '%altitude_spike%')
                and samples.position_status <> 'stale'
                and samples.positioned_at >= run.positioned_at
                and samples.positioned_at < run.through_at
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
            icao24 := run.icao24;
            from_at := greatest(run.positioned_at, run.range_from_at);
            through_at := least(proven_at, run.through_at);
            wrong_from_at := null;
            return next;
        end if;
        is_believed := proven_at < run.through_at;
        if is_believed then
            if is_overturned and proven_at >= run.range_from_at then
                icao24 := run.icao24;
                from_at := proven_at;
                through_at := null;
                wrong_from_at := believed_from_at;
                return next;
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
$$
