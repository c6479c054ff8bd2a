-- A person's word on what models learn from and are judged on. A row is never changed but to say that it was taken
-- back.
create table audit.corrections (
    correction_id bigint generated always as identity primary key,
    made_at timestamptz not null default clock_timestamp(),
    kind text not null check (kind in ('leave out time', 'leave out flight', 'correct landing')),
    airport text,
    from_at timestamptz,
    through_at timestamptz,
    flight_id text,
    landed_at timestamptz,
    author text not null check (author <> ''),
    reason text not null check (reason <> ''),
    undone_at timestamptz,
    undone_by text,
    undone_because text,
    check ((kind = 'leave out time') = (from_at is not null and through_at is not null)),
    check (from_at < through_at),
    check ((kind = 'leave out time') = (flight_id is null)),
    check ((kind = 'correct landing') = (landed_at is not null)),
    check (kind <> 'correct landing' or airport is not null)
);
create unique index corrections_of_landings on audit.corrections (flight_id, airport)
    where kind = 'correct landing' and undone_at is null;
create index corrections_of_flights on audit.corrections (flight_id) where undone_at is null;
comment on table audit.corrections is
    'One row per word of a person on arrivals: a time or a flight left out of training and skill, a landing corrected.';
