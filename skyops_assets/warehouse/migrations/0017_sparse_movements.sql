-- Where retention has dropped positions the tables are not made anew: rows from before have none of these.
alter table if exists staging.stg_opensky__states
    add column if not exists has_ground_flag boolean,
    add column if not exists altitude_step jsonb,
    add column if not exists altitudes_wrong_from_at timestamptz;
alter table if exists intermediate.int_movements__moments
    add column if not exists anchor_at timestamptz,
    add column if not exists ground_at timestamptz,
    add column if not exists ground_latitude_deg double precision,
    add column if not exists ground_longitude_deg double precision,
    add column if not exists is_course_seen boolean,
    add column if not exists lifted_at timestamptz;
alter table if exists intermediate.int_movements__located add column if not exists runway_reason text;
alter table if exists intermediate.int_movements__renewed add column if not exists runway_reason text;
alter table if exists metrics.fct_movements add column if not exists runway_reason text;

do $$
begin
    if to_regclass('staging.stg_opensky__states') is not null then
        create index if not exists stg_opensky__states_altitude_steps
            on staging.stg_opensky__states (icao24, positioned_at)
            where altitude_step is not null or altitudes_wrong_from_at is not null;
    end if;
end
$$;
