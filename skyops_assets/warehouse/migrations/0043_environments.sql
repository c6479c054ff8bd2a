-- What an installation is called (SKYOPS_ENV): the last row counts. A warehouse has its name from its first use on, and
-- takes it along in a dump.
create table audit.environments (
    environment_id bigint generated always as identity primary key,
    name text not null check (name <> ''),
    named_at timestamptz not null default clock_timestamp(),
    actor text,
    reason text check (reason <> '')
);
comment on table audit.environments is
    'One row per name that this warehouse got: at its first use, without an actor, or by skyops rename-env.';
create trigger environments_are_kept before update or delete on audit.environments
    for each row execute function audit.refuse_to_rewrite();

-- As a column's default, so that no writer can forget it or say another one; null in a scratch database.
create function audit.environment() returns text language sql stable as
    'select name from audit.environments order by environment_id desc limit 1';

-- Null: written before warehouses had names.
alter table audit.champion_changes add column env text;
alter table audit.monitoring_log add column env text;
alter table audit.corrections add column env text;
alter table audit.reports add column env text;
alter table audit.reliability_decisions add column env text;
alter table ml.training_runs add column env text;
alter table ml.model_versions add column env text;
alter table ml.promotion_decisions add column env text;
alter table audit.champion_changes alter column env set default audit.environment();
alter table audit.monitoring_log alter column env set default audit.environment();
alter table audit.corrections alter column env set default audit.environment();
alter table audit.reports alter column env set default audit.environment();
alter table audit.reliability_decisions alter column env set default audit.environment();
alter table ml.training_runs alter column env set default audit.environment();
alter table ml.model_versions alter column env set default audit.environment();
alter table ml.promotion_decisions alter column env set default audit.environment();

-- Versions brought from another environment by skyops model copy; ours is the column env.
create table audit.model_copies (
    copy_id bigint generated always as identity primary key,
    copied_at timestamptz not null default clock_timestamp(),
    env text default audit.environment(),
    model_name text not null,
    version text not null,
    mlflow_run_id text not null unique,
    from_env text not null,
    from_version text not null,
    from_mlflow_run_id text not null,
    fingerprint text not null,
    files jsonb not null,
    card text not null,
    actor text not null,
    reason text not null check (btrim(reason) <> '')
);
comment on table audit.model_copies is 'One row per model version brought from another environment, and by whom.';
comment on column audit.model_copies.files is 'SHA-256 of each file as it was there and is here, by its name.';
comment on column audit.model_copies.card is 'The version''s model card as it was there, as Markdown.';
create trigger model_copies_are_kept before update or delete on audit.model_copies
    for each row execute function audit.refuse_to_rewrite();
