-- The schema itself and millrace.migration are made by the runner before the
-- first migration.

-- One row a running instance: its lease. An instance that has been silent for
-- ten seconds is dead, and what it was running runs again elsewhere.
create table millrace.node (
    id           text        primary key,
    name         text        not null,
    started_at   timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    draining     boolean     not null default false,
    info         jsonb       not null default '{}'
) with (fillfactor = 50);
