-- When a function is to be run. next_at is the first tick that was neither
-- fired, skipped nor missed; it moves only together with what became of the
-- ticks before it. due_at is next_at and its jitter, or when to try again.
create table millrace.schedule (
    name               text        primary key,
    function           text        not null,
    input              jsonb       not null,
    options            jsonb       not null,
    cron               text        not null,
    timezone           text        not null,
    overlap            text        not null check (overlap in ('queue', 'skip', 'replace', 'cancel')),
    catch_up           text        not null check (catch_up in ('none', 'one', 'all')),
    catch_up_window_ms bigint      not null,
    jitter_ms          bigint      not null,
    owner              text,                    -- the function whose configuration declares it
    anchor             timestamptz not null,    -- what @every counts from
    paused_at          timestamptz,
    next_at            timestamptz,             -- null: it never ticks again
    due_at             timestamptz,             -- null: that, or it is paused
    last_tick_at       timestamptz,             -- the tick of the last job, null if that was run by hand
    last_job_at        timestamptz,
    last_job_id        bigint,
    fired              bigint      not null default 0,
    skipped            bigint      not null default 0,
    missed             bigint      not null default 0,
    last_error         text        not null default '',
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now()
);
create index schedule_due on millrace.schedule (due_at) where due_at is not null;
create index schedule_owner on millrace.schedule (owner) where owner is not null;

-- The job of each tick: that there is one is a constraint. tick is null for
-- jobs that were run by hand.
create table millrace.schedule_job (
    job_id   bigint      primary key,
    schedule text        not null,
    tick     timestamptz,
    unique (schedule, tick)
);
create index schedule_job_newest on millrace.schedule_job (schedule, job_id);

create function millrace.schedule_job_deleted() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from millrace.schedule_job where job_id = any (array(select id from gone));
    return null;
end
$$;

create trigger schedule_job_deleted
    after delete on millrace.river_job
    referencing old table as gone
    for each statement
    execute function millrace.schedule_job_deleted();
