-- What is done with many jobs at once: one row a bulk operation. Nodes work on
-- it in batches, from the newest job that there was to the oldest. All jobs with
-- an id of at least position are done with; the position moves in the same
-- transaction as the jobs, so that whoever goes on begins where the last batch
-- ended, and no job is met twice.
create table millrace.operation (
    id          bigint      generated always as identity primary key,
    action      text        not null check (action in ('retry', 'cancel', 'delete', 'purge', 'move', 'prioritize')),
    filter      jsonb       not null,                       -- the query, as the program writes it
    functions   text[]      not null,                       -- whose jobs it may touch: names, or beginnings with '*'
    queue       text        check ((action = 'move') = (queue is not null)),
    priority    smallint    check ((action = 'prioritize') = (priority is not null)),
    dry_run     boolean     not null,                       -- only counts
    state       text        not null default 'queued'
        check (state in ('queued', 'running', 'completed', 'failed', 'cancelled')),
    top         bigint      not null,                       -- where the position began
    bottom      bigint      not null,                       -- the oldest job's id at that time
    position    bigint      not null,
    matched     bigint      not null default 0,             -- by the filter
    done        bigint      not null default 0,
    skipped     bigint      not null default 0,             -- not in a state for it
    error       text        not null default '',
    node        text,                                       -- who does the next batch, while its lease lasts
    lease_until timestamptz,
    created_at  timestamptz not null default now(),
    started_at  timestamptz,
    finished_at timestamptz,
    check ((finished_at is not null) = (state in ('completed', 'failed', 'cancelled')))
) with (fillfactor = 50);
create index operation_open on millrace.operation (id) where finished_at is null;

-- How far the deletion of old jobs has come: one row for each group of functions
-- whose jobs of one state are kept equally long. It goes along the index of
-- finished jobs by time, and meets each row once.
create table millrace.retention_pass (
    name        text        primary key,
    finished_at timestamptz,                                -- of the last job that it met; null at the beginning
    job_id      bigint      not null default 0,
    begun_at    timestamptz not null default now(),
    looked_at   timestamptz not null default now()
) with (fillfactor = 50);

-- How long functions want their finished jobs kept, where they say so: an object
-- of completed_ms, failed_ms and cancelled_ms; 0 is not at all, -1 for ever. A
-- function of the program hides a deployed one, as everywhere.
create view millrace.function_retention as
select n.name as function, n.config -> 'retention' as keep
from millrace.native_function n
where n.config ? 'retention'
union all
select f.name, v.config -> 'retention'
from millrace.function f
join millrace.function_version v on v.function = f.name and v.version = f.live_version
where v.config ? 'retention' and not exists (select from millrace.native_function n where n.name = f.name);
