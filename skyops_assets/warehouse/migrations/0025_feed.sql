-- What live.feed shows: loads of the last minute are found by their end, and what is left of the day's credits by what
-- the account has.
create index ingest_batches_finished on raw.ingest_batches (finished_at) where target = 'raw.opensky_states';

alter table raw.opensky_credits add column daily_credits integer;
comment on column raw.opensky_credits.daily_credits is
    'Credits of the whole day, by the process that last asked; null in rows of before.';
