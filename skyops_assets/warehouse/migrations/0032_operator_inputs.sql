-- What an operator knows besides positions, all of it optional: schedules and maintenance records. An airframe is
-- named by its registration, in capitals and without hyphens; `source` and `source_row` say where a row was read.

-- One scheduled flight.
create table raw.schedules (
    callsign text not null,
    scheduled_departure_at timestamptz not null,
    scheduled_arrival_at timestamptz not null,
    flight_number text,
    departure_airport text not null,
    arrival_airport text not null,
    airframe text,
    is_cancelled boolean not null,
    departure_delay_min double precision,
    is_technical boolean,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (callsign, scheduled_departure_at)
);
comment on column raw.schedules.departure_delay_min is
    'Minutes by which it left its stand late, as the operator recorded them; negative where it left early.';
comment on column raw.schedules.is_technical is
    'Whether the delay or cancellation had a technical cause (IATA delay codes 41 to 48).';
create index schedules_by_arrival on raw.schedules (arrival_airport, scheduled_arrival_at);

-- One finding, removal or task done, in the shape of the FAA's Service Difficulty Reports.
create table raw.maintenance_events (
    event_id text primary key,
    occurred_on date not null,
    airframe text,
    operator text,
    aircraft_model text,
    jasc_code text,
    part_number text,
    part_name text,
    part_position text,
    serial_number text,
    is_scheduled boolean,
    is_removal boolean,
    is_confirmed boolean,
    task text,
    airframe_hours double precision,
    airframe_cycles bigint,
    part_hours double precision,
    part_cycles bigint,
    part_hours_since double precision,
    condition text,
    narrative text,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches
);
comment on column raw.maintenance_events.is_confirmed is
    'Whether the shop confirmed the failure; null where nobody has said so.';
comment on column raw.maintenance_events.task is 'The task of the programme that was done; null for a finding.';
create index maintenance_events_by_airframe on raw.maintenance_events (airframe, occurred_on);

-- One task of a maintenance programme. At least one of the three intervals is given; the first to be reached counts.
create table raw.maintenance_programmes (
    task text not null,
    applies_to text not null default '',
    description text,
    jasc_code text,
    part_number text,
    interval_hours double precision,
    interval_cycles bigint,
    interval_days integer,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (task, applies_to)
);
comment on column raw.maintenance_programmes.applies_to is
    'An ICAO type designator or a registration; empty: every airframe.';

-- How many of a part an airframe has, and from when to when.
create table raw.configurations (
    airframe text not null,
    part_number text not null,
    part_position text not null default '',
    quantity integer not null,
    fitted_from_on date not null,
    fitted_until_on date,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (airframe, part_number, part_position, fitted_from_on)
);

-- Hours and cycles of one airframe in one month.
create table raw.exposure (
    airframe text not null,
    month_on date not null,
    flight_hours double precision not null,
    cycles bigint not null,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (airframe, month_on)
);

-- The readings of one unit (an engine, an airframe) at one cycle, in the shape of NASA's FD001.
create table raw.sensor_readings (
    fleet text not null,
    unit text not null,
    cycle bigint not null,
    airframe text,
    observed_on date,
    settings double precision[] not null,
    sensors double precision[] not null,
    is_failed boolean not null default false,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (fleet, unit, cycle)
);
comment on column raw.sensor_readings.fleet is
    'Units that may be compared with each other, such as engines of one type.';
comment on column raw.sensor_readings.is_failed is
    'Whether the unit failed at this cycle, its last; a unit without one still ran, or was removed sound.';

-- One part of the catalogue.
create table raw.parts (
    part_number text primary key,
    part_name text not null,
    jasc_code text,
    life_limit_hours double precision,
    life_limit_cycles bigint,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches
);

-- One bulletin or directive.
create table raw.bulletins (
    reference text not null,
    applies_to text not null default '',
    title text,
    due_on date,
    due_hours double precision,
    due_cycles bigint,
    source text not null,
    source_row bigint not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (reference, applies_to)
);
