-- What the transform has taken of the positions, and what its present run takes.

alter table raw.ingest_batches add column transformed_at timestamptz;
comment on column raw.ingest_batches.transformed_at is
    'When all models first held these rows; null until then.';
create index ingest_batches_untransformed on raw.ingest_batches (batch_id)
    where target = 'raw.opensky_states' and transformed_at is null;

-- New rows of a day are found by their batch.
drop index raw.opensky_states_brin;
create index opensky_states_brin on raw.opensky_states
    using brin (time_position, icao24, batch_id) with (pages_per_range = 32);

-- The last run that finished: of which project and reference data, and the latest position it saw.
create table audit.transform_state (
    is_only boolean primary key default true check (is_only),
    fingerprint text,
    horizon_at timestamptz,
    finished_at timestamptz not null
);

-- The present or last run: the loads it takes, ...
create table audit.transform_batches (batch_id bigint primary key);

-- ... the times of each aircraft that it computes anew, ...
create table audit.transform_ranges (
    changed_icao24 text not null,
    changed_from_at timestamptz not null,
    changed_through_at timestamptz not null
);

-- ... the hours whose counts change (hours_after = 0) or whose features do, ...
create table audit.transform_hours (
    changed_hour_at timestamptz not null,
    is_aftermath boolean not null,
    primary key (changed_hour_at)
);

-- ... the latest position that there is, and whether everything is computed anew.
create table audit.transform_horizon (latest_at timestamptz, is_whole boolean not null);
