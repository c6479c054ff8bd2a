-- One row for a problem, from when it was first seen until it recovered. What merely happened, such as
-- a promotion, is over at once. The times are those of the runs and checks that showed it.
create table audit.alerts (
    alert_id bigint generated always as identity primary key,
    problem text not null,
    kind text not null,
    owners text[] not null check (cardinality(owners) > 0),
    title text not null,
    details text not null,
    opened_at timestamptz not null,
    last_seen_at timestamptz not null,
    times_seen integer not null default 1,
    recovered_at timestamptz
);
create unique index alerts_one_open on audit.alerts (problem) where recovered_at is null;
create index alerts_by_problem on audit.alerts (problem, alert_id);

-- What a channel is to be told, until it was. Addresses are not here, as a webhook's is a secret: the
-- owner's present route is asked for when it is sent.
create table audit.alert_notices (
    notice_id bigint generated always as identity primary key,
    alert_id bigint not null references audit.alerts,
    is_recovery boolean not null,
    channel text not null check (channel in ('log', 'webhook', 'email')),
    owner text not null,
    attempts integer not null default 0,
    last_error text,
    sent_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    unique (alert_id, is_recovery, channel, owner)
);
create index alert_notices_unsent on audit.alert_notices (notice_id) where sent_at is null;
