-- What the instances' realtime hubs tell one another: commands, who is alive, who is subscribed.

-- Commands to all hubs: each carries out each of them once. A hub reads the rows whose xid is not below the xmin of
-- the snapshot of its last read, so that it misses none, however long a transaction took to commit; what it has seen
-- it knows by id. A row stays until expires_at for hubs that cannot reach the database meanwhile.
create table millrace.control (
    id         uuid        primary key default gen_random_uuid(),
    xid        xid8        not null default pg_current_xact_id(),
    kind       text        not null,
    payload    text        not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);

create index control_xid on millrace.control (xid);
create index control_expires_at on millrace.control (expires_at);

-- The running hubs' leases. A hub that has been silent for six seconds is taken for gone: another one deletes its
-- members and counts expirations up, which is how one that was only stalled learns that it has to write them again.
-- registered_at tells it that the row is another one than it knew: the tables below and this one are unlogged, and
-- a crash of Postgres empties them all.
create unlogged table millrace.hub (
    id            bigint      primary key, -- drawn at random by the hub as it starts
    node          text        not null,
    registered_at timestamptz not null default clock_timestamp(),
    heartbeat_at  timestamptz not null default now(),
    expirations   integer     not null default 0
) with (fillfactor = 50);

-- Who is subscribed to the channels that keep presence. A row lives as long as the hub's lease: it is never
-- rewritten. Whoever inserts holds a key share lock on the hub's row, so none is left behind by an expiration.
create unlogged table millrace.presence (
    channel   text   collate "C" not null,
    client    text   collate "C" not null,
    hub       bigint not null,
    user_id   bytea  not null, -- UTF-8 if the token that named the user was
    conn_info bytea,
    chan_info bytea,
    primary key (channel, client)
);

create index presence_hub on millrace.presence (hub);

-- The hubs' answers to a question that went to all of them, until the one that asked has read them.
create unlogged table millrace.control_answer (
    question   uuid        not null,
    hub        bigint      not null,
    answer     bytea       not null,
    created_at timestamptz not null default now(),
    primary key (question, hub)
);
