-- Until the next transform tells: what came from the stand-in before was not marked.
alter table if exists features.arrival_features
    add column if not exists is_simulated boolean not null default false;
