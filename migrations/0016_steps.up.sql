-- Durable execution: what a job's function has done so far, and what it waits
-- for. jobs/steps/doc.go has the states and the invariants.
--
-- Of a job that uses it, metadata's "run" holds "steps": {"opened": true,
-- "version": the one that it goes on with, "suspended": how often it was put
-- off}. A job that another one called has "parent": {"job", "position"}.

-- One durable operation of a job, in the order in which its function asked.
create table millrace.job_step (
    job_id     bigint      not null,
    position   integer     not null,
    kind       text        not null check (kind in ('step', 'sleep', 'event', 'call', 'send', 'values')),
    name       text        not null,
    state      text        not null check (state in ('waiting', 'done', 'failed')),
    tries      smallint    not null default 0,     -- of a step: how often it failed
    alone      boolean     not null,               -- no other operation was under way
    attempt    smallint    not null,               -- that wrote it last
    turn       integer,                            -- when the function heard of its end, among the others
    value      jsonb,                              -- of done
    error      jsonb,                              -- of failed, and of a step that is to be tried again
    due_at     timestamptz,                        -- the end of a sleep, a timeout, or the next try
    event      text,
    key        text,
    match      jsonb,
    event_id   bigint,                             -- the event that ended it
    child_id   bigint,
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    primary key (job_id, position),
    check ((state = 'waiting') = (settled_at is null))
) with (fillfactor = 80);
create index job_step_waiting on millrace.job_step (job_id) where state = 'waiting';
-- Who waits for an event.
create index job_step_event on millrace.job_step (event, key, job_id) where state = 'waiting' and kind = 'event';

-- Events that were sent, for those who come to wait for them later.
create table millrace.event (
    id      bigint      generated always as identity primary key,
    name    text        not null,
    key     text        not null default '',
    data    jsonb       not null default 'null',
    sent_at timestamptz not null default now()
);
create index event_by_key on millrace.event (name, key, sent_at, id);
create index event_by_name on millrace.event (name, sent_at, id);
create index event_sent_at on millrace.event (sent_at);

-- Lets a suspended job run, at once, or within two seconds when it waits for
-- many more: a function that called a thousand is not begun a thousand times.
-- One that runs is marked: if it is just being suspended for what has happened
-- now, it runs again (jobs/sql/finish_other.sql).
create function millrace.wake_job(job bigint) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    few    constant integer := 10;
    left_  integer;
    pause  interval := '0';
    woken  record;
begin
    select count(*) into left_ from (
        select from millrace.job_step s where s.job_id = job and s.state = 'waiting' and s.kind = 'call' limit 1000) w;
    if left_ >= few then
        pause := left_ * interval '2 milliseconds';
    end if;
    update millrace.river_job j
    set state = case when j.state = 'scheduled' and pause = '0' then 'available' else j.state end,
        scheduled_at = case j.state when 'scheduled' then least(j.scheduled_at, now() + pause) else j.scheduled_at end,
        metadata = case j.state when 'running' then j.metadata || '{"woken": true}' else j.metadata end
    where j.id = job
      and case j.state
          when 'scheduled' then pause = '0' or j.scheduled_at > now() + pause
          when 'running' then not j.metadata ? 'woken'
          else false
      end
    returning j.state, j.attempt, j.kind, j.queue into woken;
    if woken.state = 'available' then
        perform pg_notify('millrace.river_insert', json_build_object('queue', woken.queue)::text);
        perform pg_notify('millrace_jobs', 's ' || job || ' queued ' || woken.attempt || ' ' || woken.kind);
    elsif woken.state = 'scheduled' then
        perform pg_notify('millrace_jobs', 's ' || job || ' scheduled ' || woken.attempt || ' ' || woken.kind);
    end if;
end
$$;

-- Begins or goes on with the steps of a running job and returns what there is
-- of them. It is fenced like an outcome. What has become due is done; what the
-- function has not heard of gets its turn, which does not change any more: so
-- each replay tells it everything in the same order.
create function millrace.open_steps(job bigint, the_attempt integer, client text, the_version text)
returns table (
    "position" integer, kind text, name text, state text, tries integer, alone boolean, turn integer, fresh boolean,
    value jsonb, error jsonb, due_in_ms double precision, child_id bigint
)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    heard   integer;
    unheard integer[];
    of_one  integer;
begin
    update millrace.river_job j
    set metadata = case jsonb_typeof(j.metadata) when 'object' then j.metadata else '{}' end
        || jsonb_build_object('run', case jsonb_typeof(j.metadata -> 'run') when 'object' then j.metadata -> 'run' else '{}' end
            || jsonb_build_object('steps', case jsonb_typeof(j.metadata #> '{run,steps}') when 'object' then j.metadata #> '{run,steps}' else '{}' end
                || jsonb_build_object('opened', true, 'version', the_version)))
    where j.id = job and j.attempt = the_attempt and j.state is not distinct from 'running'
      and j.attempted_by[array_upper(j.attempted_by, 1)] = client
      and not coalesce((j.metadata #> '{run,steps}') ? 'opened' and j.metadata #>> '{run,steps,version}' = the_version, false);
    if not found then
        perform from millrace.river_job j
        where j.id = job and j.attempt = the_attempt and j.state is not distinct from 'running'
          and j.attempted_by[array_upper(j.attempted_by, 1)] = client
        for share;
        if not found then
            raise exception 'the attempt is not this node''s any more' using errcode = 'MR001';
        end if;
    end if;

    update millrace.job_step s set state = 'done', value = 'null', settled_at = s.due_at
    where s.job_id = job and s.state = 'waiting' and s.kind in ('sleep', 'event') and s.due_at <= clock_timestamp();

    select coalesce(max(s.turn), 0), array_agg(s.position order by s.settled_at, s.position)
        filter (where s.turn is null and s.state <> 'waiting')
    into heard, unheard
    from millrace.job_step s where s.job_id = job;
    for of_one in 1 .. coalesce(array_length(unheard, 1), 0) loop
        update millrace.job_step s set turn = heard + of_one where s.job_id = job and s.position = unheard[of_one];
    end loop;

    return query
        select s.position, s.kind, s.name, s.state, s.tries::integer, s.alone, s.turn, coalesce(s.turn > heard, false),
            s.value, s.error, (extract(epoch from s.due_at - clock_timestamp()) * 1000)::double precision, s.child_id
        from millrace.job_step s where s.job_id = job order by s.position;
end
$$;

-- A child has ended, one way or the other: the step of its parent has. The
-- parents are woken at the end of the transaction, in order, so that two
-- transactions that end children of the same ones do not wait for each other.
create function millrace.settle_child(child bigint, parent jsonb, ended text, output jsonb, failure jsonb) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    mine constant text := pg_current_xact_id()::text || ' ';
    told text := coalesce(current_setting('millrace.parents', true), '');
begin
    -- Whoever inserts rows with SQL may have put anything there.
    if not coalesce(parent ->> 'job' ~ '^[0-9]{1,18}$' and parent ->> 'position' ~ '^[0-9]{1,9}$', false) then
        return;
    end if;
    update millrace.job_step s
    set state = ended, value = output, error = failure, settled_at = clock_timestamp()
    where s.job_id = (parent ->> 'job')::bigint and s.position = (parent ->> 'position')::integer
      and s.state = 'waiting' and s.child_id = child;
    if not found then
        return;
    end if;
    if not starts_with(told, mine) then
        told := mine;
    end if;
    if position(' ' || (parent ->> 'job') || ' ' in told) = 0 then
        perform set_config('millrace.parents', told || ' ' || (parent ->> 'job') || ' ', true);
    end if;
end
$$;

create function millrace.child_ended() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    failure jsonb;
begin
    if new.state = 'completed' then
        perform millrace.settle_child(new.id, new.metadata -> 'parent', 'done', coalesce(new.metadata -> 'output', 'null'), null);
        return null;
    end if;
    begin
        failure := (new.errors[array_upper(new.errors, 1)] ->> 'error')::jsonb;
    exception when others then -- it is another program's, and plain text
        failure := jsonb_build_object('code', 'runtime', 'message', left(new.errors[array_upper(new.errors, 1)] ->> 'error', 4096));
    end;
    if new.state = 'cancelled' and coalesce(failure ->> 'code', '') <> 'cancelled' or failure is null then
        failure := jsonb_build_object('code', 'cancelled', 'message', 'the job was cancelled');
    end if;
    perform millrace.settle_child(new.id, new.metadata -> 'parent', 'failed', null,
        failure || jsonb_build_object('retryable', false));
    return null;
end
$$;
create trigger child_ended
    after update of finalized_at on millrace.river_job
    for each row
    when (old.finalized_at is null and new.finalized_at is not null and old.metadata ? 'parent')
    execute function millrace.child_ended();

create function millrace.wake_parents() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    told   constant text := coalesce(current_setting('millrace.parents', true), '');
    parent bigint;
begin
    if starts_with(told, pg_current_xact_id()::text || ' ') then
        perform set_config('millrace.parents', '', true);
        for parent in
            select p::bigint from regexp_split_to_table(trim(substr(told, position(' ' in told))), ' +') p where p <> '' order by 1
        loop
            perform millrace.wake_job(parent);
        end loop;
    end if;
    return null;
end
$$;
create constraint trigger wake_parents
    after update of finalized_at on millrace.river_job
    deferrable initially deferred
    for each row
    when (old.finalized_at is null and new.finalized_at is not null and old.metadata ? 'parent')
    execute function millrace.wake_parents();

-- The children of a job that is cancelled are cancelled with it.
create function millrace.cancel_children() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform millrace.cancel_job(s.child_id, true)
    from (select s.child_id from millrace.job_step s
          where s.job_id = new.id and s.state = 'waiting' and s.kind = 'call' order by s.child_id) s;
    return null;
end
$$;
create trigger cancel_children
    after update of finalized_at on millrace.river_job
    for each row
    when (old.finalized_at is null and new.state = 'cancelled' and (new.metadata -> 'run') ? 'steps')
    execute function millrace.cancel_children();

-- A job that had ended and is to run again, by somebody's hand, forgets what
-- failed and goes on with the version that is live: that is what it was mended for.
create function millrace.steps_revived() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from millrace.job_step s where s.job_id = new.id and s.state = 'failed';
    if jsonb_typeof(new.metadata #> '{run,steps}') = 'object' then
        new.metadata := new.metadata #- '{run,steps,version}';
    end if;
    return new;
end
$$;
create trigger steps_revived
    before update of finalized_at on millrace.river_job
    for each row
    when (old.finalized_at is not null and new.finalized_at is null and (old.metadata -> 'run') ? 'steps')
    execute function millrace.steps_revived();

-- Steps go with their job. A child that is deleted before its end has failed.
create function millrace.steps_deleted() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    orphan record;
begin
    -- An array instead of a join: a transition table has no statistics.
    delete from millrace.job_step s where s.job_id = any (array(select g.id from gone g where (g.metadata -> 'run') ? 'steps'));
    for orphan in
        select g.id, g.metadata -> 'parent' as parent from gone g
        where g.finalized_at is null and g.metadata ? 'parent' order by g.metadata #> '{parent,job}'
    loop
        perform millrace.settle_child(orphan.id, orphan.parent, 'failed', null,
            '{"code": "deleted", "message": "the job was deleted before its end", "retryable": false}');
        if orphan.parent ->> 'job' ~ '^[0-9]{1,18}$' then
            perform millrace.wake_job((orphan.parent ->> 'job')::bigint);
        end if;
    end loop;
    return null;
end
$$;
create trigger steps_deleted
    after delete on millrace.river_job
    referencing old table as gone
    for each statement
    execute function millrace.steps_deleted();

-- An event ends the waits that are there for it. Whoever begins to wait looks
-- at the events that are there: the lock of the event's name, shared by those
-- who send, has one of the two see the other.
create function millrace.event_sent() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    waiting record;
begin
    perform pg_advisory_xact_lock_shared(hashtext('millrace.event'), hashtext(new.name));
    for waiting in
        select distinct s.job_id from millrace.job_step s
        where s.state = 'waiting' and s.kind = 'event' and s.event = new.name and (s.key is null or s.key = new.key)
          and (s.match is null or new.data @> s.match)
        order by s.job_id
    loop
        -- The job's row first, as those who go on with its steps do; and one sender after the other picks a wait.
        perform from millrace.river_job j where j.id = waiting.job_id for no key update;
        update millrace.job_step s
        set state = 'done', value = new.data, event_id = new.id, settled_at = clock_timestamp()
        where s.job_id = waiting.job_id and s.state = 'waiting' and s.position = (
            select min(w.position) from millrace.job_step w
            where w.job_id = waiting.job_id and w.state = 'waiting' and w.kind = 'event' and w.event = new.name
              and (w.key is null or w.key = new.key) and (w.match is null or new.data @> w.match));
        if found then
            perform millrace.wake_job(waiting.job_id);
        end if;
    end loop;
    return null;
end
$$;
create constraint trigger event_sent after insert on millrace.event
    deferrable initially deferred for each row execute function millrace.event_sent();

-- Looks for an event that was sent since the job was made, and that none of its
-- waits has had, and ends the wait with it; the oldest one. The function hears
-- of it at the given turn: also when an event has ended the wait by itself since
-- it was recorded. It is fenced like open_steps, but locks no job's row: senders
-- take that behind the lock of the name.
create function millrace.find_event(job bigint, the_attempt integer, client text, at integer, turn integer) returns jsonb
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    wanted millrace.job_step%rowtype;
    found_ millrace.event%rowtype;
begin
    select s.* into wanted from millrace.job_step s where s.job_id = job and s.position = at;
    perform pg_advisory_xact_lock(hashtext('millrace.event'), hashtext(wanted.event));
    perform from millrace.river_job j
    where j.id = job and j.attempt = the_attempt and j.state is not distinct from 'running'
      and j.attempted_by[array_upper(j.attempted_by, 1)] = client;
    if not found then
        raise exception 'the attempt is not this node''s any more' using errcode = 'MR001';
    end if;
    if wanted.key is not null then
        select e.* into found_ from millrace.event e
        where e.name = wanted.event and e.key = wanted.key and (wanted.match is null or e.data @> wanted.match)
          and e.sent_at >= (select j.created_at from millrace.river_job j where j.id = job)
          and not exists (select from millrace.job_step s where s.job_id = job and s.event_id = e.id)
        order by e.sent_at, e.id limit 1;
    else
        select e.* into found_ from millrace.event e
        where e.name = wanted.event and (wanted.match is null or e.data @> wanted.match)
          and e.sent_at >= (select j.created_at from millrace.river_job j where j.id = job)
          and not exists (select from millrace.job_step s where s.job_id = job and s.event_id = e.id)
        order by e.sent_at, e.id limit 1;
    end if;
    if found_.id is not null then
        update millrace.job_step s
        set state = 'done', value = found_.data, event_id = found_.id, settled_at = clock_timestamp(), turn = find_event.turn
        where s.job_id = job and s.position = at and s.state = 'waiting';
        if found then
            return found_.data;
        end if;
    end if;
    update millrace.job_step s set turn = find_event.turn
    where s.job_id = job and s.position = at and s.state = 'done'
    returning s.value into wanted.value;
    return case when found then wanted.value end;
end
$$;

-- millrace.send_event tells the jobs that wait for an event, when the calling
-- transaction commits, and returns its number. A job that waits for the name
-- with a key gets only events of that key. Jobs that exist by then and begin to
-- wait later find it, for thirty days. A role needs USAGE on the schema to call it.
create function millrace.send_event(name text, key text default '', data jsonb default 'null') returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    sent    bigint;
    largest integer;
begin
    if not coalesce(length(name) <= 127 and name ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$', false) then
        raise exception 'millrace.send_event: % is no name of an event', quote_nullable(left(name, 127))
            using errcode = '22023', hint = 'A name has letters, digits and _ . : / -, such as order.approved, at most 127 characters.';
    end if;
    if length(key) > 255 then
        raise exception 'millrace.send_event: the key has more than 255 characters' using errcode = '22023';
    end if;
    select s.max_input into largest from millrace.job_setting s;
    if octet_length(data::text) > largest then
        raise exception 'millrace.send_event: data is % bytes long, the limit is %', octet_length(data::text), largest
            using errcode = '54000', hint = 'Store it, and send a reference to it.';
    end if;
    insert into millrace.event (name, key, data)
    values (send_event.name, coalesce(send_event.key, ''), coalesce(send_event.data, 'null')) returning id into sent;
    return sent;
end
$$;
