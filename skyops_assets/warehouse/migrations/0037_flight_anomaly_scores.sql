-- How strange each flight is to the two models, and why. A flight whose way was not heard has no score, and a reason.
create schema if not exists metrics;
create table metrics.flight_anomaly_scores (
    icao24 text not null,
    flight_id text not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    isolation_score double precision,
    cluster_score double precision,
    anomaly_score double precision,
    is_anomalous boolean,
    reasons jsonb,
    unknown_shapes text[],
    unjudged_reason text,
    fitted_flights integer,
    fitted_from_at timestamptz,
    fitted_through_at timestamptz,
    judged_at timestamptz not null default clock_timestamp(),
    primary key (icao24, flight_id),
    check ((unjudged_reason is null) = (anomaly_score is not null)),
    check ((anomaly_score is null) = (is_anomalous is null))
);
create index flight_anomaly_scores_by_time on metrics.flight_anomaly_scores (last_seen_at, flight_id);
comment on table metrics.flight_anomaly_scores is
    'One row per flight that is over: how far it is from the others by two models, and by which of its shapes.';
