-- How long components live, what is recommended of it, and which units are near their end.

-- One component and measure of its life: hours or cycles. Ages and intervals are in that measure.
create table ml.component_lives (
    scope text not null check (scope in ('part', 'chapter', 'fleet')),
    component text not null,
    measure text not null check (measure in ('hours', 'cycles')),
    life_count integer not null,
    failure_count integer not null,
    censored_count integer not null,
    left_out jsonb not null,
    median_life double precision,
    km_interval double precision,
    km_interval_low double precision,
    km_interval_high double precision,
    weibull_shape double precision,
    weibull_shape_low double precision,
    weibull_shape_high double precision,
    weibull_scale double precision,
    weibull_scale_low double precision,
    weibull_scale_high double precision,
    failure_free_life double precision,
    target_survival double precision not null,
    interval_life double precision,
    interval_low double precision,
    interval_high double precision,
    programme_interval double precision,
    recommended_interval double precision,
    decision text not null,
    survival jsonb not null,
    known_through_on date,
    fitted_at timestamptz not null default now(),
    primary key (scope, component, measure)
);
comment on table ml.component_lives is
    'One row per component and measure of its life. Ages and intervals are in that measure.';
comment on column ml.component_lives.scope is
    'part: a part number; chapter: all parts of an ATA chapter that failed too seldom alone; fleet: units with sensor '
    'readings.';
comment on column ml.component_lives.left_out is 'Lives that could not be told, by the reason.';
comment on column ml.component_lives.km_interval is
    'The age at which the share without a failure falls below the target, by Kaplan-Meier, and its 95 % band.';
comment on column ml.component_lives.weibull_shape is
    'Above 1 units wear out; at 1 they fail by chance. Bounds are of 95 %, from a bootstrap over lives.';
comment on column ml.component_lives.failure_free_life is
    'Before this age none fails, where that is surely likelier than a Weibull from 0 on; else 0.';
comment on column ml.component_lives.interval_life is
    'The age that the target share reaches, by the Weibull. Computed also where it is not recommended.';
comment on column ml.component_lives.programme_interval is
    'The shortest interval of the maintenance programme for this part, in the same measure.';
comment on column ml.component_lives.recommended_interval is
    'The interval, where the gate let it through; decision says why, or why not.';
comment on column ml.component_lives.survival is
    'The curve of Kaplan-Meier: age, share without a failure, low and high end of its 95 % band.';

-- One fleet, question and model: what the model is worth on units that it has not learned from.
create table ml.outlook_evaluations (
    fleet text not null,
    question text not null check (question in ('remaining life', 'failure within', 'limit')),
    model text not null,
    how text not null,
    train_unit_count integer not null,
    test_unit_count integer not null,
    test_row_count integer not null,
    rmse_cycles double precision,
    mae_cycles double precision,
    interval_coverage_share double precision,
    within_cycles integer,
    brier_score double precision,
    accuracy double precision,
    precision_share double precision,
    recall_share double precision,
    f1 double precision,
    true_positive_count integer,
    false_positive_count integer,
    false_negative_count integer,
    true_negative_count integer,
    limit_cycles double precision,
    used_life_share double precision,
    failed_share double precision,
    skill double precision,
    skill_low double precision,
    skill_high double precision,
    evaluated_at timestamptz not null default now(),
    primary key (fleet, question, model)
);
comment on table ml.outlook_evaluations is
    'One row per fleet, question and model: its errors on units that it has not learned from.';
comment on column ml.outlook_evaluations.skill is
    '1 - error / error of age alone (squared error), with its 95 % interval by a bootstrap over units.';
comment on column ml.outlook_evaluations.limit_cycles is
    'A unit is taken off when its predicted remaining life is at this or below.';
comment on column ml.outlook_evaluations.failed_share is 'Share of the units that failed before they were taken off.';

-- One unit with sensor readings: what is expected of it.
create table ml.failure_outlook (
    fleet text not null,
    unit text not null,
    airframe text,
    icao24 text,
    cycle bigint not null,
    observed_on date,
    remaining_life_cycles double precision,
    remaining_life_low_cycles double precision,
    remaining_life_high_cycles double precision,
    limit_cycles double precision,
    is_at_limit boolean,
    within_cycles integer not null,
    failure_probability double precision,
    probability_model text,
    why_null text,
    computed_at timestamptz not null default now(),
    primary key (fleet, unit)
);
comment on table ml.failure_outlook is 'One row per unit with sensor readings: what is expected of it.';
comment on column ml.failure_outlook.remaining_life_cycles is
    'Cycles left after the latest reading; longer ones than the models can tell are told as the longest they can. Low '
    'and high are a 90 % interval.';
comment on column ml.failure_outlook.why_null is 'Why nothing is predicted; null where something is.';

-- One decision of the gate on an interval or a model; the same evidence is decided once.
create table audit.reliability_decisions (
    decision_id bigint generated always as identity primary key,
    decided_at timestamptz not null default now(),
    question text not null check (question in ('interval', 'remaining life', 'failure within', 'limit')),
    scope text not null,
    component text not null,
    measure text not null,
    model text not null,
    fingerprint text not null,
    is_recommended boolean not null,
    value double precision,
    summary text not null,
    reasons jsonb not null,
    dagster_run_id text,
    unique (question, scope, component, measure, model, fingerprint)
);
comment on table audit.reliability_decisions is
    'One row per decision on an interval, a limit or a model of failures, with the reason of every rule.';
comment on column audit.reliability_decisions.fingerprint is
    'Hash of the lives or readings, the policy and the method that were decided on.';
