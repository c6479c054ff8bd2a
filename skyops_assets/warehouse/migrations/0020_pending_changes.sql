-- What changed since the last run that built every model and tested it: runs of `skyops follow` build only the models
-- that live answers need, and test nothing.
create table audit.pending_ranges (like audit.transform_ranges);
create table audit.pending_hours (like audit.transform_hours including all);

alter table audit.transform_state add column is_whole_pending boolean not null default false;
comment on column audit.transform_state.is_whole_pending is
    'Whether all rows wait to be tested, as after a full refresh whose tests failed.';
alter table audit.transform_horizon add column is_whole_pending boolean not null default false;

-- Whoever waits for loads is told of each when it commits, with the table that it was into.
create function raw.tell_of_load() returns trigger language plpgsql as $$
begin
    perform pg_notify('skyops_loads', new.target);
    return null;
end
$$;
create trigger tell_of_load after insert on raw.ingest_batches
for each row execute function raw.tell_of_load();
