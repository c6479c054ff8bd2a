-- Flights became rows of their own. A warehouse whose models made one row a position before is brought
-- to the new shape here, for where retention has dropped positions its tables are not made anew.

do $$
begin
    if exists (
        select from information_schema.columns
        where table_schema = 'intermediate' and table_name = 'int_flights__segmented' and column_name = 'positioned_at'
    ) then
        create table intermediate.int_flights__segmented_as_rows as
        select flight_id, icao24, flight_started_at, max(positioned_at) as flight_ended_at
        from intermediate.int_flights__segmented
        group by flight_id, icao24, flight_started_at;
        drop table intermediate.int_flights__segmented;
        alter table intermediate.int_flights__segmented_as_rows rename to int_flights__segmented;
        create unique index on intermediate.int_flights__segmented (icao24, flight_started_at);

        alter table staging.stg_opensky__states add column is_after_silence boolean;
        update staging.stg_opensky__states as states
        set is_after_silence = compared.is_after_silence
        from (
            select
                icao24,
                positioned_at,
                coalesce(positioned_at - max(positioned_at) over before > interval '10 minutes', true)
                or (
                    position_status <> 'stale'
                    and coalesce(
                        positioned_at - max(positioned_at) filter (where position_status <> 'stale') over before
                        > interval '10 minutes',
                        true
                    )
                ) as is_after_silence
            from staging.stg_opensky__states
            window before as (
                partition by icao24 order by positioned_at rows between unbounded preceding and 1 preceding
            )
        ) as compared
        where compared.icao24 = states.icao24 and compared.positioned_at = states.positioned_at;
    end if;
end
$$;
