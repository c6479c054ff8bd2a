-- What the service answers with, so that it needs neither MLflow nor the libraries that models are learned with.
-- signature: {"inputs": {name: "string" or "double"}, "outputs": [name]}. background: {"rows": [{feature: value}],
-- "minutes": [number]}, some arrivals that the version has learned from, with what it says of them.
create table ml.model_graphs (
    model_name text not null,
    version text not null,
    sha256 bytea not null check (length(sha256) = 32),
    signature jsonb not null,
    content bytea not null,
    background jsonb not null,
    kept_at timestamptz not null default clock_timestamp(),
    primary key (model_name, version),
    foreign key (model_name, version) references ml.model_versions on delete cascade
);
alter table ml.model_graphs alter column content set storage external;
comment on table ml.model_graphs is 'One row per model version: its ONNX graph, as the service asks it.';

-- reference_baseline: what was the best naive answer where the run was evaluated, as numbers:
-- {"name": ..., "airport": {airport: minutes}, "sector": {airport: {sector: minutes}}}.
alter table ml.training_runs add column reference_baseline jsonb;

create table ml.service_predictions (
    id uuid primary key,
    asked_at timestamptz not null,
    key_id text not null,
    model_name text not null,
    model_version text not null,
    ring_nm integer not null,
    airport text not null,
    flight_id text,
    icao24 text,
    crossed_at timestamptz not null,
    features jsonb not null,
    transit_min double precision,
    low_min double precision,
    high_min double precision,
    latency_ms double precision not null
);
comment on table ml.service_predictions is
'One row per record that the service predicted; ids and rows come from the service, late while the server is away.';
create index service_predictions_asked_at on ml.service_predictions (asked_at);
