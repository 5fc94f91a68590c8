-- What each node counted of a function's attempts: one row for each minute, and
-- one for each hour. A node writes its own rows again and again, with the whole
-- counts, so that a write that is repeated changes nothing. Times are in
-- histograms: pairs of bucket and count (jobs/minute_histogram.go).
create table millrace.function_stat (
    seconds   integer     not null check (seconds in (60, 3600)),
    at        timestamptz not null,     -- where the minute or the hour begins, by the node's clock
    function  text        not null,
    node      text        not null,
    completed bigint      not null,
    failed    bigint      not null,     -- attempts
    dead      bigint      not null,     -- of these, those that ended their job
    cancelled bigint      not null,
    wait      integer[]   not null,
    run       integer[]   not null,
    primary key (seconds, function, at, node)
) with (fillfactor = 50);
create index function_stat_at on millrace.function_stat (seconds, at);

-- Failures of the same kind: the same function, the same error but for numbers
-- and names in it, the same place. Never more than some ten thousand rows, and
-- no index but the key, so that counting on touches none.
create table millrace.failure_group (
    id         text        primary key, -- the fingerprint
    function   text        not null,
    code       text        not null,
    pattern    text        not null,    -- the message without what differs
    frame      text        not null,    -- the first of the function's own; empty when there is no stack
    message    text        not null,    -- the last one, as it was
    state      text        not null default 'open' check (state in ('open', 'resolved', 'ignored')),
    count      bigint      not null,    -- attempts
    first_seen timestamptz not null,
    last_seen  timestamptz not null,
    changed_at timestamptz,             -- when somebody said resolved, ignored or open
    jobs       bigint[]    not null     -- the last ones
) with (fillfactor = 50);
