-- Requests that are under way, and of each account the last one that ended: OpenSky's word for what is left of the
-- credits is exact only where nothing else was under way when it was given.

-- is_alone: nothing else was under way when it was sent. ends_by: by then its credits are taken or never will be,
-- whatever became of the process that sent it.
create table raw.opensky_requests (
    request_id bigint generated always as identity primary key,
    account text not null,
    is_alone boolean not null,
    sent_at timestamptz not null default now(),
    ends_by timestamptz not null,
    ended_at timestamptz
);

-- What the server said was left when its word last counted, and what was booked then: the difference to its next
-- word is what was taken since, whatever limit the books are kept to.
alter table raw.opensky_credits
    add column heard_remaining integer,
    add column heard_spent integer;
