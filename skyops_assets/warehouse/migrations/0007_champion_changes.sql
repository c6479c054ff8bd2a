-- Every change of a champion, by the gatekeeper or by hand. The MLflow run names the model for good;
-- version numbers begin again where MLflow's database is replaced. No foreign key: the audit outlives
-- what it is about.
create table audit.champion_changes (
    change_id bigint generated always as identity primary key,
    changed_at timestamptz not null default clock_timestamp(),
    model_name text not null,
    action text not null check (action in ('gatekeeper', 'promote', 'rollback')),
    is_by_hand boolean not null generated always as (action <> 'gatekeeper') stored,
    from_version text,
    to_version text not null,
    from_mlflow_run_id text,
    to_mlflow_run_id text not null,
    actor text not null,
    reason text not null check (btrim(reason) <> ''),
    decision_id bigint
);

create function audit.refuse_to_rewrite() returns trigger language plpgsql as $$
begin
    raise exception '%.%: rows are added, never changed or deleted', tg_table_schema, tg_table_name;
end
$$;
create trigger champion_changes_are_kept before update or delete on audit.champion_changes
    for each row execute function audit.refuse_to_rewrite();

insert into audit.champion_changes (
    changed_at, model_name, action, from_version, to_version, from_mlflow_run_id, to_mlflow_run_id,
    actor, reason, decision_id
)
select
    d.decided_at,
    d.model_name,
    'gatekeeper' as action,
    d.champion_version,
    d.challenger_version,
    former.mlflow_run_id as from_mlflow_run_id,
    promoted.mlflow_run_id as to_mlflow_run_id,
    'gatekeeper' as actor,
    regexp_replace(d.summary, '^promoted: ', '') as reason,
    d.decision_id
from ml.promotion_decisions as d
inner join ml.model_versions as promoted
    on d.model_name = promoted.model_name and d.challenger_version = promoted.version
left join ml.model_versions as former
    on d.model_name = former.model_name and d.champion_version = former.version
where d.is_promoted
order by d.decided_at, d.decision_id;

-- Null: trained before this was noted.
alter table ml.training_runs add column absent_features text[];
