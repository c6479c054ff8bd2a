-- Reports of weeks and months; in the database, so that every machine of an installation can show them.
create table audit.reports (
    kind text not null check (kind in ('week', 'month')),
    starts_on date not null,
    airport text not null,
    title text not null,
    made_at timestamptz not null default clock_timestamp(),
    page text not null,
    primary key (kind, starts_on, airport)
);
comment on table audit.reports is 'One row per airport and week or month: its report, as an HTML page.';
