-- A live pass works between two models of a build of everything, so it has notes of its own; and what it adds to what
-- waits for a build stays when the build under way has passed its tests.
create table audit.live_batches (like audit.transform_batches including all);
create table audit.live_feature_batches (like audit.transform_feature_batches including all);
create table audit.live_ranges (like audit.transform_ranges including all);
create table audit.live_hours (like audit.transform_hours including all);
create table audit.live_horizon (like audit.transform_horizon including all);

alter table audit.pending_ranges add column is_taken boolean not null default false;
alter table audit.pending_hours add column is_taken boolean not null default false;
alter table audit.pending_hours drop constraint pending_hours_pkey;
alter table audit.pending_hours add primary key (changed_hour_at, is_taken);
