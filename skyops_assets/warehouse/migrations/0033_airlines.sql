-- Where retention has dropped positions the tables are not made anew: what is of before gets its airline and type here.
alter table if exists metrics.fct_flights
    add column if not exists airline text,
    add column if not exists typecode text;
alter table if exists metrics.fct_movements
    add column if not exists airline text,
    add column if not exists typecode text;
alter table if exists intermediate.int_positions__sampled_1m add column if not exists stale_count bigint;

do $$
begin
    if to_regclass('metrics.fct_flights') is null or to_regclass('metrics.fct_movements') is null then
        return;
    end if;
    update metrics.fct_flights as flights set
        airline = substring(flights.callsign from '^([A-Z]{3})[0-9]'),
        typecode = (select airframes.typecode from raw.aircraft as airframes where airframes.icao24 = flights.icao24);
    update metrics.fct_movements as movements set
        airline = flights.airline,
        typecode = flights.typecode
    from metrics.fct_flights as flights
    where movements.icao24 = flights.icao24 and movements.flight_id = flights.flight_id;
end
$$;
