-- What the present run of the transform takes of the per-arrival history.
create table audit.transform_history_batches (batch_id bigint primary key);

create index ingest_batches_untransformed_history on raw.ingest_batches (batch_id)
    where target = 'raw.arrivals_history' and transformed_at is null;

-- Where retention has dropped positions the features are not made anew: crossings from before have none of these.
alter table if exists features.crossing_features
    add column if not exists source text not null default 'positions',
    add column if not exists outer_leg_min double precision,
    add column if not exists outer_leg_mps double precision,
    add column if not exists near_leg_mps double precision,
    add column if not exists near_leg_climb_mps double precision,
    add column if not exists entries_5min_count integer,
    add column if not exists sector_entries_15min_count integer,
    add column if not exists unlanded_count integer,
    add column if not exists sector_unlanded_count integer,
    add column if not exists mean_unlanded_age_min double precision,
    add column if not exists go_arounds_30min_count integer,
    add column if not exists mean_last3_transit_min double precision,
    add column if not exists mean_last10_transit_min double precision,
    add column if not exists mean_last20_transit_min double precision,
    add column if not exists sector_mean_last3_transit_min double precision,
    add column if not exists sector_mean_last5_transit_min double precision,
    add column if not exists sector_mean_last10_transit_min double precision,
    add column if not exists sector_mean_last20_transit_min double precision;
