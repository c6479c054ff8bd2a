-- What a training set was made with; null: made before this was noted.
alter table ml.training_sets
    add column dbt_fingerprint text,
    add column features text[];

-- What monitoring compares: what a model learned from, and what came later.
alter table ml.training_runs
    add column reference_from_at timestamptz generated always as (trained_from_at) stored,
    add column reference_through_at timestamptz generated always as (trained_through_at) stored,
    add column current_from_at timestamptz generated always as (test_from_at) stored,
    add column current_through_at timestamptz generated always as (test_through_at) stored;

-- Where retention has dropped positions the features are not made anew: crossings from before have none of these.
alter table if exists features.crossing_features
    add column if not exists typecode text,
    add column if not exists wake text,
    add column if not exists holdings_30min_count integer;
alter table if exists features.history_crossing_features
    add column if not exists typecode text,
    add column if not exists wake text,
    add column if not exists holdings_30min_count integer;
