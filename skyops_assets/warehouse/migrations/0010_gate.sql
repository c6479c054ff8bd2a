-- What the gatekeeper's four lights look at, and what they said.
alter table ml.evaluations
    add column within_1min_share double precision,
    add column within_2min_share double precision,
    add column interval_coverage double precision,
    add column interval_width_min double precision;

-- One part of the test rows. gain is against "against": the champion on rows it has not learned from, where
-- there is one, else the best baseline.
create table ml.evaluation_slices (
    training_run_id text not null references ml.training_runs,
    kind text not null,
    slice text not null,
    is_gated boolean not null,
    rows bigint not null,
    challenger_mae_min double precision,
    champion_mae_min double precision,
    baseline_mae_min double precision,
    against text not null,
    gain double precision,
    gain_low double precision,
    gain_high double precision,
    blocks integer not null,
    block text not null,
    primary key (training_run_id, kind, slice)
);

-- The rise of the MAE on the test rows when a group of features is permuted.
create table ml.feature_importance (
    training_run_id text not null references ml.training_runs,
    feature_group text not null,
    mae_rise_min double precision not null,
    primary key (training_run_id, feature_group)
);

-- One challenger, as measured with its evaluation: in a fresh process, and by what it does with its features.
-- Null: not measured. wrong_way_min has a key per direction, null where no test row could be asked.
create table ml.challenger_evidence (
    training_run_id text primary key references ml.training_runs,
    mlflow_run_id text not null,
    load_error text,
    start_s double precision,
    peak_memory_mb double precision,
    predictions integer,
    p50_ms double precision,
    p95_ms double precision,
    is_signature_equal boolean,
    identifiers text[],
    leading_group text,
    wrong_way_min jsonb,
    impossible_share double precision,
    shuffled_skill double precision,
    measured_at timestamptz not null default now()
);

-- Light by light; null for decisions taken before there were lights.
alter table ml.promotion_decisions add column lights jsonb;
update ml.promotion_decisions set reasons = (
    select coalesce(jsonb_agg(
        reason || jsonb_build_object('light', case reason ->> 'rule'
            when 'trained' then 'technical' when 'taken_back' then 'operational' else 'statistical' end)
        order by place
    ), '[]')
    from jsonb_array_elements(reasons) with ordinality as given (reason, place) -- noqa: AL05
);
