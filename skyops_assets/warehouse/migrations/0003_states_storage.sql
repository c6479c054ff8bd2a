-- Positions without a key on the parent: it cost half of a load. The loader keeps them unique; where
-- two loads met in one day, and on every finished day, a unique index of the day's own says so.

alter table raw.opensky_states drop constraint opensky_states_pkey;
drop index raw.opensky_states_time_brin;

-- Each load is sorted by aircraft and time, so that 32 pages hold one or a few aircraft.
create index opensky_states_brin on raw.opensky_states
    using brin (time_position, icao24) with (pages_per_range = 32);

-- What retention took away: loaded = stored + dropped.
create table raw.dropped_partitions (
    target text not null,
    day date not null,
    row_count bigint not null,
    dropped_at timestamptz not null default now()
);
create index dropped_partitions_target on raw.dropped_partitions (target);

comment on column raw.ingest_batches.rejected_rows is
    'Negative where rejected rows were replayed: they left raw.rejected_states and became loaded or '
    'duplicate rows, and nothing was read again.';
