-- What the model learns from besides positions: the open per-arrival history, and aircraft types.

-- One arrival. A ring's columns are null where the source saw no position close to the ring.
create table raw.arrivals_history (
    uid text not null,
    icao24 text not null,
    callsign text not null,
    airport text not null,
    runway text,
    is_arrival boolean not null,
    landed_at timestamptz not null,
    ring_40nm_crossed_at timestamptz,
    ring_40nm_bearing_deg double precision,
    ring_40nm_latitude_deg double precision,
    ring_40nm_longitude_deg double precision,
    ring_40nm_altitude_m double precision,
    ring_40nm_distance_m double precision,
    ring_40nm_offset_m double precision,
    ring_50nm_crossed_at timestamptz,
    ring_50nm_bearing_deg double precision,
    ring_50nm_latitude_deg double precision,
    ring_50nm_longitude_deg double precision,
    ring_50nm_altitude_m double precision,
    ring_50nm_distance_m double precision,
    ring_50nm_offset_m double precision,
    ring_100nm_crossed_at timestamptz,
    ring_100nm_bearing_deg double precision,
    ring_100nm_latitude_deg double precision,
    ring_100nm_longitude_deg double precision,
    ring_100nm_altitude_m double precision,
    ring_100nm_distance_m double precision,
    ring_100nm_offset_m double precision,
    day date not null,
    source text not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (airport, uid)
);

create index arrivals_history_by_day on raw.arrivals_history (airport, day);

create table raw.aircraft (
    icao24 text primary key,
    registration text,
    typecode text,
    icao_type_description text,
    operator text,
    operator_icao text,
    source text not null,
    batch_id bigint not null references raw.ingest_batches
);
