-- API keys, the page's sessions and the secret under short-lived tokens. Nothing in here opens a door by
-- itself: of keys, sessions and links only the SHA-256 is stored. (They are 32 random bytes each, so a slow
-- password hash would cost time and add nothing.)

create table millrace.api_key (
    id           text primary key check (id ~ '^[a-z0-9]{1,32}$'),
    name         text not null check (char_length(name) <= 200),
    secret_hash  bytea not null check (octet_length(secret_hash) = 32),
    scopes       text[] not null check (cardinality(scopes) between 1 and 100),
    created_at   timestamptz not null default now(),
    created_by   text references millrace.api_key (id) on delete set null,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);

-- The sweep for what ended since it last looked.
create index api_key_revoked_idx on millrace.api_key (revoked_at) where revoked_at is not null;
create index api_key_expires_idx on millrace.api_key (expires_at) where expires_at is not null;

create table millrace.web_session (
    hash       bytea primary key check (octet_length(hash) = 32),
    key_id     text not null references millrace.api_key (id) on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index web_session_expires_idx on millrace.web_session (expires_at);
create index web_session_key_idx on millrace.web_session (key_id);

-- A link is deleted by the one login that uses it.
create table millrace.login_link (
    hash       bytea primary key check (octet_length(hash) = 32),
    key_id     text not null references millrace.api_key (id) on delete cascade,
    expires_at timestamptz not null
);

create table millrace.auth_secret (
    name       text primary key,
    value      bytea not null check (octet_length(value) >= 32),
    created_at timestamptz not null default now()
);
