-- River's own indexes cost two thirds of Postgres' time: its statements change
-- the indexed state twice a job, and each change writes a new entry into every
-- index of the table, two of them GIN over the whole input. These three are
-- partial, so that a row is in one of them at a time, and in none when it is
-- finished. River's statements run on them too.
drop index millrace.river_job_args_index;
drop index millrace.river_job_metadata_index;
drop index millrace.river_job_kind;
drop index millrace.river_job_prioritized_fetching_index;

-- The claim: the next jobs of a queue, but for those that wait in a lane for a
-- slot of their own (limits). A job's place is its time plus an hour for each
-- step of its priority: so priorities age, and the claim pays nothing for it.
create index mr_fetch on millrace.river_job
    (queue, ((scheduled_at at time zone interval '0') + priority * interval '1 hour'), id)
    where state = 'available' and (metadata ->> 'lane') is null;
-- The lease: what runs where, the oldest first.
create index mr_run on millrace.river_job (attempted_at, id) where state = 'running';
-- The promotion: which waiting job is due next.
create index mr_wait on millrace.river_job (state, scheduled_at, id) where state in ('scheduled', 'retryable', 'pending');

-- A queue table turns over many times its size. Left at a fifth of the table,
-- vacuum comes too late for the partial indexes, and the statistics too late
-- for a burst.
alter table millrace.river_job set (
    autovacuum_vacuum_scale_factor        = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor       = 0.05,
    autovacuum_vacuum_cost_delay          = 1
);

-- What functions logged. seq is one sequence over all jobs, so that it grows
-- within each of them.
create table millrace.job_log (
    job_id  bigint      not null,
    seq     bigint      generated always as identity,
    attempt smallint    not null,
    at      timestamptz not null default now(),
    level   text        not null,
    message text        not null,
    fields  jsonb,
    primary key (job_id, seq)
);

-- Results that are bytes. The job's own row has a reference in their place, so
-- that lists and watchers do not carry them, and a job whose result is JSON has
-- no row here.
create table millrace.job_output (
    job_id       bigint   primary key,
    attempt      smallint not null,
    content_type text     not null,
    data         bytea    not null
);
alter table millrace.job_output alter column data set storage external; -- most of what is bytes is compressed already

-- The job that an idempotency key stands for, until it expires.
create table millrace.idempotency (
    key          text        primary key,
    request_hash bytea       not null,
    job_id       bigint      not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null
);
create index idempotency_expires_at on millrace.idempotency (expires_at);
create index idempotency_job_id on millrace.idempotency (job_id);

-- Logs, results and keys go with their job, whoever deletes it. A foreign key would do
-- the same at the price of a lock on the job's row for each line logged.
create function millrace.job_deleted() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- An array instead of a join: a transition table has no statistics.
    delete from millrace.job_log where job_id = any (array(select id from gone));
    delete from millrace.job_output where job_id = any (array(select id from gone));
    delete from millrace.idempotency where job_id = any (array(select id from gone));
    return null;
end
$$;

create trigger job_deleted
    after delete on millrace.river_job
    referencing old table as gone
    for each statement
    execute function millrace.job_deleted();
