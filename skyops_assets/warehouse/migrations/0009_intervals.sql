-- The 90 % prediction interval; null where the predictor has none.
alter table ml.predictions
    add column predicted_low_min double precision,
    add column predicted_high_min double precision;

-- search: what was tried within the training window. "interval": how it was calibrated, null also
-- where the rows were too few. Both null: trained before there were any.
alter table ml.training_runs
    add column search jsonb,
    add column "interval" jsonb; -- noqa: RF06
