-- What OpenSky may still be asked for today, shared by all processes.

-- account: 'anonymous', or a hash of the client's id; never a secret. blocked_until: OpenSky
-- asked to wait until then (429), whatever credits are left.
create table raw.opensky_credits (
    utc_day date not null,
    account text not null,
    spent integer not null check (spent >= 0),
    blocked_until timestamptz,
    updated_at timestamptz not null default now(),
    primary key (utc_day, account)
);
