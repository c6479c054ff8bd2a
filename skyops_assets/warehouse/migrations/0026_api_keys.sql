-- Who may ask the service. A key is shown once, when it is made; what is kept is its SHA-256 (a key is 256 random bits,
-- so that no slow hash is needed).
create table audit.api_keys (
    key_id text primary key,
    key_sha256 bytea not null unique check (length(key_sha256) = 32),
    owner text not null check (owner <> ''),
    scopes text[] not null check (scopes <@ array['read', 'predict', 'admin'] and cardinality(scopes) > 0),
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text
);
comment on table audit.api_keys is 'One row per API key of the service: whose it is, what it may, until when.';
