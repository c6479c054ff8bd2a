-- One weather report of an airport.
create table raw.metars (
    airport text not null,
    observed_at timestamptz not null,
    report text not null,
    wind_from_deg double precision,
    wind_mps double precision,
    gust_mps double precision,
    visibility_m double precision,
    ceiling_m double precision,
    source text not null,
    batch_id bigint not null references raw.ingest_batches,
    primary key (airport, observed_at)
);

-- What the present run of the transform takes of the loads that only features follow.
alter table audit.transform_history_batches rename to transform_feature_batches;

drop index raw.ingest_batches_untransformed_history;
create index ingest_batches_untransformed_features on raw.ingest_batches (batch_id)
    where target in ('raw.arrivals_history', 'raw.metars') and transformed_at is null;

-- Where retention has dropped positions the features are not made anew: crossings from before have none of these.
alter table if exists features.crossing_features
    add column if not exists wind_east_mps double precision,
    add column if not exists wind_north_mps double precision,
    add column if not exists wind_gust_mps double precision,
    add column if not exists visibility_m double precision,
    add column if not exists ceiling_m double precision;
alter table if exists features.history_crossing_features
    add column if not exists wind_east_mps double precision,
    add column if not exists wind_north_mps double precision,
    add column if not exists wind_gust_mps double precision,
    add column if not exists visibility_m double precision,
    add column if not exists ceiling_m double precision;
