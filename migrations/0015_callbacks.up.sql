-- Callbacks: what became of a job, sent to a URL. A job wants them when its
-- metadata holds "callback": {"url": text, "events": ["completed", …] or absent
-- for all}.

-- The secrets that deliveries are signed with. All that have not expired sign:
-- a receiver that knows either the old or the new one can verify during a
-- rotation. They are kept as they are, since signing needs them.
create table millrace.callback_secret (
    id         bigint      generated always as identity primary key,
    value      bytea       not null check (octet_length(value) between 24 and 64),
    created_at timestamptz not null default now(),
    expires_at timestamptz
);
-- Two random UUIDs hold 244 random bits.
insert into millrace.callback_secret (value)
values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- One callback, sent again and again with the same body until it is taken or
-- its time is over. While an attempt is under way next_at is when others may
-- take it for lost; the number of attempts is its fence.
create table millrace.callback_delivery (
    id          bigint      generated always as identity primary key,
    message_id  text        not null default 'msg_' || replace(gen_random_uuid()::text, '-', ''),
    job_id      bigint      not null,
    function    text        not null,
    event       text        not null,
    url         text        not null,
    host        text        not null collate "C",
    body        text        not null,
    state       text        not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempts    integer     not null default 0,
    created_at  timestamptz not null default now(),
    next_at     timestamptz not null default now(),
    give_up_at  timestamptz not null default now() + interval '24 hours',
    last_at     timestamptz,
    last_status smallint,
    last_error  text,
    finished_at timestamptz
);
-- What is due, by host: one that does not answer holds up nobody else's.
create index callback_due on millrace.callback_delivery (host, next_at, id) where state = 'pending';
create index callback_job on millrace.callback_delivery (job_id, id);
create index callback_finished on millrace.callback_delivery (finished_at) where finished_at is not null;

-- Records that a callback is to be sent, in the transaction that records the
-- outcome, whoever writes it. It must refuse nothing: what it raised would keep
-- the outcome from being recorded.
create function millrace.callback_wanted() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    wanted   constant jsonb := old.metadata -> 'callback';
    url      constant text := wanted ->> 'url';
    event    constant text := case new.state when 'completed' then 'completed' when 'discarded' then 'failed' else 'cancelled' end;
    largest  constant integer := 262144;
    output   jsonb;
    failure  jsonb;
    data     jsonb;
begin
    if url is null or length(url) > 2000
       or jsonb_typeof(wanted -> 'events') = 'array' and not wanted -> 'events' ? event then
        return null;
    end if;
    data := jsonb_build_object('id', new.id::text, 'function', new.kind, 'state', event, 'queue', new.queue,
        'tags', to_jsonb(new.tags), 'attempt', new.attempt, 'created_at', new.created_at, 'finished_at', new.finalized_at);
    if event = 'completed' then
        output := coalesce(new.metadata -> 'output', 'null');
        data := data || case when octet_length(output::text) <= largest
            then jsonb_build_object('output', output) else '{"output_omitted": true}' end;
    elsif cardinality(new.errors) > 0 then
        begin
            failure := (new.errors[array_upper(new.errors, 1)] ->> 'error')::jsonb - 'stack'; -- no business of others
        exception when others then -- it is another program's, and plain text
            failure := jsonb_build_object('code', 'RuntimeError', 'message', left(new.errors[array_upper(new.errors, 1)] ->> 'error', 4096));
        end;
        data := data || jsonb_build_object('error', failure);
    end if;
    insert into millrace.callback_delivery (job_id, function, event, url, host, body)
    values (new.id, new.kind, event, url, lower(coalesce(substring(url from '^[A-Za-z]+://([^/?#]*)'), '')),
        jsonb_build_object('type', 'job.' || event, 'timestamp', new.finalized_at, 'data', data)::text);
    -- Equal ones of a transaction are one.
    perform pg_notify('millrace_callbacks', '');
    return null;
end
$$;

-- River's states and finalized_at go together, by a check of its own. So this
-- meets the statements that end jobs, and no claim; and of their rows it calls
-- the function for those that want a callback.
create trigger callback_wanted
    after update of finalized_at on millrace.river_job
    for each row
    when (old.finalized_at is null and new.finalized_at is not null and old.metadata ? 'callback')
    execute function millrace.callback_wanted();
