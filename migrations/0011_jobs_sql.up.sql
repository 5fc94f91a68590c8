-- The way in for transactions: millrace.enqueue, millrace.cancel, millrace.retry.

-- The functions that are part of programs, with their settings as
-- function_version.config has them. Each instance writes its own as it starts,
-- so they are those of the one that started last; a name that nobody has any
-- more stays until a function of that name is deployed. seen_at is renewed
-- every minute by the instances that have the function: the others hand its
-- jobs on to them.
create table millrace.native_function (
    name       text        primary key,
    config     jsonb       not null,
    updated_at timestamptz not null default now(),
    seen_at    timestamptz not null default now()
);

create function millrace.native_replaced() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from millrace.native_function n where n.name = new.name;
    return null;
end
$$;
create trigger native_replaced
    after insert or update of live_version on millrace.function
    for each row when (new.live_version is not null)
    execute function millrace.native_replaced();

-- What the instances are configured to, as far as SQL has to know it: the bytes
-- of an input. It is that of the one that started last.
create table millrace.job_setting (
    only_row  boolean primary key default true check (only_row),
    max_input integer not null check (max_input > 0)
);
insert into millrace.job_setting (max_input) values (4194304);

-- The gate wakes the workers at the end of a transaction, and only when nobody
-- else is just doing so: a NOTIFY in each transaction would serialise all
-- commits. The one that gets the lock of a queue tells, and holds it until its
-- commit is through; the others' commits follow within a moment, so those who
-- are told look again and again for a while ("e": enqueued). Jobs that wait for
-- their time have a lock of their own. Of the jobs themselves the first of a
-- queue and transaction is told, for those who watch.
create function millrace.enqueue_gate() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    waits constant boolean := new.state = 'scheduled';
    queue constant text := case when waits then '' else new.queue end;
    mine  constant text := pg_current_xact_id()::text || ' ';
    told  text := coalesce(current_setting('millrace.told', true), '');
begin
    if not starts_with(told, mine) then
        told := mine;
    end if;
    if position(' ' || queue || ';' in told) > 0 then
        return null;
    end if;
    perform set_config('millrace.told', told || ' ' || queue || ';', true);
    if pg_try_advisory_xact_lock(hashtext('millrace.enqueue'), hashtext(queue)) then
        if not waits then
            perform pg_notify('millrace.river_insert', json_build_object('queue', queue)::text);
        end if;
        perform pg_notify('millrace_jobs', 'e 0 ' || queue || E'\n' || 's ' || new.id
            || case when waits then ' scheduled 0 ' else ' queued 0 ' end || new.kind);
    end if;
    return null;
end
$$;

-- Rows of the instances' own submissions do not meet it: they tell for whole
-- batches.
create constraint trigger enqueue_gate after insert on millrace.river_job
    deferrable initially deferred for each row
    when (current_setting('millrace.by_sql', true) = 'on')
    execute function millrace.enqueue_gate();

-- Nanoseconds of a duration such as 500ms, 1h30m, -2.5s, or of a whole number of
-- seconds; null when it is none.
create function millrace.duration_ns(duration text) returns bigint
    language plpgsql immutable strict parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    total numeric := 0;
    part  text[];
begin
    if duration ~ '^[+-]?[0-9]{1,20}$' then
        total := duration::numeric;
        return case when total between -2147483648 and 2147483647 then total * 1000000000 end;
    end if;
    if length(duration) > 200 or duration !~ '^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$' then
        return null;
    end if;
    for part in select m from regexp_matches(duration, '([0-9.]+)([a-zµμ]+)', 'g') m loop
        total := total + trunc(part[1]::numeric * case part[2]
            when 'ns' then 1 when 'us' then 1000 when 'µs' then 1000 when 'μs' then 1000
            when 'ms' then 1000000 when 's' then 1000000000 when 'm' then 60000000000 else 3600000000000 end);
    end loop;
    if total > 9223372036854775807 then
        return null;
    end if;
    return case when starts_with(duration, '-') then -total else total end;
end
$$;

-- An RFC 3339 time, to the microsecond; null when it is none.
create function millrace.rfc3339(instant text) returns timestamptz
    language plpgsql stable strict parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    part text[] := regexp_match(instant, '^([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(\.[0-9]{1,6})?[0-9]*(Z|[+-][0-9]{2}:[0-9]{2})$');
begin
    return (part[1] || coalesce(part[2], '') || part[3])::timestamptz;
exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
    return null;
end
$$;

-- The options of a submission, null or zero where not given, and everything
-- that is wrong with them.
create function millrace.job_options(
    options jsonb,
    out queue text, out priority integer, out max_attempts integer, out timeout_ns bigint, out soft_timeout_ns bigint, out delay_ns bigint,
    out run_at timestamptz, out tags text[], out idempotency_key text, out rule jsonb, out backoff jsonb,
    out wrong text[]
)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    kinds constant jsonb := '{"queue": ["string"], "priority": ["number"], "max_attempts": ["number"],
        "timeout": ["string", "number"], "soft_timeout": ["string", "number"], "run_at": ["string"], "delay": ["string", "number"], "tags": ["array"],
        "idempotency_key": ["string"], "backoff": ["string", "number", "array", "object"],
        "unique": ["boolean", "string", "object"], "debounce": ["string", "number", "object", "boolean"],
        "throttle": ["string", "object", "boolean"], "callback": ["string", "object"], "traceparent": ["string"]}';
    ten_years constant bigint := 10 * 366 * 86400 * 1000000000::bigint;
    duration constant text := ' is a duration such as 500ms, 10s, 2h, or a number of seconds';
    bad  text;
    more text[];
begin
    select array_agg(case when kinds ? o.key then o.key || ' cannot be a ' || jsonb_typeof(o.value)
        else quote_literal(left(o.key, 100)) || ' is no option' end order by o.key)
    into wrong
    from jsonb_each(options) o
    where not coalesce(kinds -> o.key ? jsonb_typeof(o.value), false);
    if wrong is not null then
        return;
    end if;

    queue := nullif(options ->> 'queue', '');
    if length(queue) > 64 or queue !~ '^[a-z0-9]+([_-]?[a-z0-9]+)*$' then
        wrong := array_append(wrong, 'queue must be lower-case letters and digits, joined by ''_'' or ''-'', at most 64 characters');
    end if;

    if options ->> 'priority' !~ '^[0-4]$' then
        wrong := array_append(wrong, 'priority must be between 1 (first) and 4 (last)');
    else
        priority := (options ->> 'priority')::integer;
    end if;
    if options ->> 'max_attempts' !~ '^([0-9]{1,2}|100)$' then
        wrong := array_append(wrong, 'max_attempts must be between 1 and 100');
    else
        max_attempts := (options ->> 'max_attempts')::integer;
    end if;

    timeout_ns := millrace.duration_ns(options ->> 'timeout');
    if options ? 'timeout' and timeout_ns is null then
        wrong := array_append(wrong, 'timeout' || duration);
    elsif timeout_ns <> 0 and timeout_ns not between 1000000 and 86400000000000 then
        wrong := array_append(wrong, 'timeout must be between 1ms and 24h');
    end if;
    soft_timeout_ns := millrace.duration_ns(options ->> 'soft_timeout');
    if options ? 'soft_timeout' and soft_timeout_ns is null then
        wrong := array_append(wrong, 'soft_timeout' || duration);
    elsif soft_timeout_ns <> 0 and soft_timeout_ns not between 1000000 and 86400000000000 then
        wrong := array_append(wrong, 'soft_timeout must be between 1ms and 24h');
    end if;
    delay_ns := millrace.duration_ns(options ->> 'delay');
    if options ? 'delay' and delay_ns is null then
        wrong := array_append(wrong, 'delay' || duration);
    elsif delay_ns not between 0 and ten_years then
        wrong := array_append(wrong, 'delay must be between 0 and ten years');
    end if;
    run_at := millrace.rfc3339(options ->> 'run_at');
    if options ? 'run_at' and run_at is null then
        wrong := array_append(wrong, 'run_at is a time such as 2026-01-31T08:00:00Z');
    elsif run_at > clock_timestamp() + ten_years / 1000 * interval '1 microsecond' then
        wrong := array_append(wrong, 'run_at is more than ten years ahead');
    elsif run_at is not null and delay_ns <> 0 then
        wrong := array_append(wrong, 'delay cannot be combined with run_at');
    end if;

    tags := array(select t.value from jsonb_array_elements_text(options -> 'tags') with ordinality t (value, n) order by n);
    if cardinality(tags) > 20 then
        wrong := array_append(wrong, 'tags are more than 20');
    end if;
    select t.value #>> '{}' into bad from jsonb_array_elements(options -> 'tags') t (value)
    where jsonb_typeof(t.value) <> 'string' or length(t.value #>> '{}') > 100
       or t.value #>> '{}' !~ '^[A-Za-z0-9_][A-Za-z0-9_-]+[A-Za-z0-9_]$' limit 1;
    if found then
        wrong := array_append(wrong, format('tags: %s must be a string of 3 to 100 letters, digits, ''_'' or inner ''-''',
            quote_nullable(left(bad, 120))));
    end if;

    idempotency_key := nullif(options ->> 'idempotency_key', '');
    if length(idempotency_key) > 255 or idempotency_key ~ '[^ -~]' then
        wrong := array_append(wrong, 'idempotency_key must be at most 255 printable ASCII characters');
    end if;

    if options ?| array['unique', 'debounce', 'throttle', 'backoff'] then
        select r.rule, r.wrong into rule, more from millrace.rule_options(options) r;
        wrong := wrong || more;
        select b.backoff, b.wrong into backoff, more from millrace.backoff_option(options -> 'backoff') b;
        wrong := wrong || more;
    end if;
end
$$;

-- What keeps an input from being stored, null when nothing does. Functions
-- parse it with a stack, and into doubles.
create function millrace.job_input_wrong(input jsonb) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    written constant text := input::text;
begin
    if octet_length(written) > 128
       and jsonb_path_exists(input, 'strict $.**{64 to last} ? (@.type() == "object" || @.type() == "array")') then
        return 'input nests deeper than 64 levels';
    end if;
    if written ~ '[0-9]{255}' and jsonb_path_exists(input, 'strict $.** ?
        (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') then
        return 'input holds a number out of range';
    end if;
    return null;
end
$$;

-- What is wrong with a callback's shape, null when nothing is. Which addresses
-- it may lead to the instances say, when they deliver.
create function millrace.callback_wrong(callback jsonb) returns text
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when callback is null then null
        when jsonb_typeof(callback -> 'url') is distinct from 'string'
            then 'callback is a URL, or {"url": "https://…", "events": ["completed", "failed", "cancelled"]}'
        when callback - '{url,events}'::text[] <> '{}' then 'callback has url and events, and nothing else'
        when length(callback ->> 'url') > 2000 or callback ->> 'url' !~* '^https?://[^/?#@\s]+([/?][!-~]*)?$'
            then 'callback: its url must be one such as https://example.com/hooks/jobs'
        when callback ? 'events' and (jsonb_typeof(callback -> 'events') <> 'array'
            or not callback -> 'events' <@ '["completed", "failed", "cancelled"]')
            then 'callback: its events are completed, failed and cancelled'
    end
$$;

-- One part of the hash that tells the requests of an idempotency key apart: the
-- same as for submissions that do not come by SQL.
create function millrace.hash_part(part bytea) returns bytea
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select int8send(octet_length(part)::bigint) || part
$$;

-- Reserves an idempotency key and returns the id that the job shall have
-- (fresh), or that of the key's first request. A key that another transaction is
-- just reserving is waited for.
create function millrace.reserve_key(the_key text, hash bytea, out id bigint, out fresh boolean)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    at         timestamptz;
    first_hash bytea;
begin
    for look in 1 .. 3 loop
        at := clock_timestamp();
        insert into millrace.idempotency as i (key, request_hash, job_id, created_at, expires_at)
        values (the_key, hash, nextval('millrace.river_job_id_seq'), at, at + interval '24 hours')
        on conflict (key) do update
            set request_hash = excluded.request_hash, job_id = excluded.job_id,
                created_at = excluded.created_at, expires_at = excluded.expires_at
            where i.expires_at <= at
        returning i.job_id into id;
        fresh := found;
        if fresh then
            return;
        end if;
        select i.job_id, i.request_hash into id, first_hash from millrace.idempotency i where i.key = the_key;
        if found and first_hash = hash then
            return;
        elsif found then
            raise exception 'millrace.enqueue: the idempotency key was used for another request'
                using errcode = '23505', detail = 'It stands for job ' || id || '.',
                hint = 'A key stands for one function, input and options for 24 hours. Use a key of its own for each request.';
        end if; -- it went with its job since it was found in use
    end loop;
    raise exception 'millrace.enqueue: the idempotency key is being used by others'
        using errcode = '40001', hint = 'Run the transaction again.';
end
$$;

-- millrace.enqueue submits a job when, and only when, the calling transaction
-- commits, and returns its id. options:
--   queue            text; priority 1 (first) to 4 (last); max_attempts 1 to 100
--   timeout          duration of an attempt, 1ms to 24h; soft_timeout, shorter:
--                    when the function is told that its timeout comes
--   run_at           RFC 3339 time, not before; or delay, a duration from now on
--   tags             up to 20 texts
--   idempotency_key  text: within 24 hours the same request returns the same job
--   backoff          the wait between attempts: "10s", ["1s", "1m"], or
--                    {"kind": "linear", "first": "10s", "max": "1h", "jitter": 0.5}
--   unique, debounce, throttle
--                    make one job of several submissions, or space them; the id
--                    that is returned may be that of an earlier job
-- A duration is a text such as 500ms or 1h30m, or a number of seconds. What is
-- not given is what the function's settings say, and then the default. A role
-- needs USAGE on the schema to call it.
create function millrace.enqueue(function text, input jsonb default 'null', options jsonb default '{}')
returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set "millrace.by_sql" = 'on'
as $$
declare
    body     constant jsonb := coalesce(input, 'null');
    given    constant jsonb := coalesce(nullif(jsonb_strip_nulls(options), 'null'), '{}');
    at       constant timestamptz := clock_timestamp();
    largest  integer;
    opts     record;
    settings jsonb;
    own_rule jsonb;
    run      jsonb;
    metadata jsonb := '{}';
    callback constant jsonb := case jsonb_typeof(given -> 'callback') when 'string'
        then jsonb_build_object('url', given -> 'callback') else given -> 'callback' end;
    reserved record;
    job      bigint;
begin
    if function is null then
        raise exception 'millrace.enqueue: function must not be null' using errcode = '22004';
    end if;
    if length(function) > 127 or function !~ '^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*$' then
        raise exception 'millrace.enqueue: % is no name of a function', quote_literal(left(function, 127))
            using errcode = '22023',
            hint = 'A name is names of letters, digits, ''_'' and ''-'', joined by dots, such as orders.charge, at most 127 characters.';
    end if;
    if jsonb_typeof(given) <> 'object' then
        raise exception 'millrace.enqueue: options are no object' using errcode = '22023',
            hint = 'They are a JSON object, such as {"priority": 1, "delay": "10s"}.';
    end if;
    select s.max_input into largest from millrace.job_setting s;
    if octet_length(body::text) > largest then
        raise exception 'millrace.enqueue: input is % bytes long, the limit is %', octet_length(body::text), largest
            using errcode = '54000', hint = 'Store it, and enqueue a reference to it.';
    end if;

    select o.* into opts from millrace.job_options(given) o;
    opts.wrong := array_remove(opts.wrong || millrace.job_input_wrong(body) || millrace.callback_wrong(callback)
        || case when given ->> 'traceparent' !~ '^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$'
            then 'traceparent must be a W3C traceparent' end, null);
    if cardinality(opts.wrong) > 0 then
        raise exception 'millrace.enqueue: %', array_to_string(opts.wrong, '; ')
            using errcode = '22023',
            hint = 'The options are: queue, priority, max_attempts, timeout, soft_timeout, run_at, delay, tags, idempotency_key, '
                'backoff, unique, debounce, throttle, callback, traceparent.';
    end if;

    select coalesce(
        (select n.config from millrace.native_function n where n.name = enqueue.function),
        (select v.config from millrace.function f
         join millrace.function_version v on v.function = f.name and v.version = f.live_version
         where f.name = enqueue.function)
    ) into settings;
    if settings is null then
        raise exception 'millrace.enqueue: unknown function %', quote_literal(function)
            using errcode = '42704',
            hint = 'A function is known when it is deployed, or when a program that has it has started.';
    end if;

    if opts.soft_timeout_ns >= coalesce(nullif(opts.timeout_ns, 0), (settings ->> 'timeout_ms')::bigint * 1000000, 60000000000) then
        raise exception 'millrace.enqueue: soft_timeout must be shorter than the timeout'
            using errcode = '22023', hint = 'Say a shorter one, or a longer timeout beside it.';
    end if;

    run := jsonb_strip_nulls(jsonb_build_object('timeout_ms', nullif(opts.timeout_ns, 0) / 1000000,
        'soft_timeout_ms', nullif(opts.soft_timeout_ns, 0) / 1000000, 'backoff', opts.backoff, 'trace', nullif(given ->> 'traceparent', '')));
    if run <> '{}' then
        metadata := jsonb_build_object('run', run);
    end if;
    metadata := metadata || jsonb_strip_nulls(jsonb_build_object('callback', coalesce(callback, settings -> 'callback')));
    own_rule := opts.rule;
    opts.rule := coalesce(opts.rule, (select jsonb_build_object(s.key, s.value) from jsonb_each(settings) s
        where s.key in ('unique', 'debounce', 'throttle') limit 1));
    if (opts.run_at is not null or opts.delay_ns <> 0)
        and (opts.rule ? 'debounce' or opts.rule ? 'throttle' and opts.rule #> '{throttle,drop}' is null) then
        raise exception 'millrace.enqueue: % decides when the job starts: it cannot be combined with run_at or delay',
            (select k from jsonb_object_keys(opts.rule) k) using errcode = '22023',
            hint = 'Leave run_at and delay away.';
    end if;
    if opts.rule is null and settings ?| array['concurrency', 'rate'] then
        metadata := metadata || jsonb_strip_nulls(jsonb_build_object('lane', millrace.lane(function, body)));
    end if;

    if opts.idempotency_key is not null then
        select r.id, r.fresh into reserved from millrace.reserve_key(opts.idempotency_key, sha256(
            millrace.hash_part(convert_to(function, 'UTF8')) || millrace.hash_part(convert_to(body::text, 'UTF8'))
            || millrace.hash_part(convert_to(coalesce(opts.queue, ''), 'UTF8'))
            || millrace.hash_part(convert_to(array_to_string(opts.tags, ','), 'UTF8'))
            || millrace.hash_part(int8send(coalesce(opts.priority, 0)) || int8send(coalesce(opts.max_attempts, 0))
                || int8send(coalesce(opts.timeout_ns, 0)) || int8send(coalesce(opts.delay_ns, 0))
                || int8send(coalesce((extract(epoch from opts.run_at) * 1000000)::bigint, -62135596800000000)))
            || coalesce(millrace.hash_part(convert_to(millrace.rule_text(own_rule), 'UTF8')), '')
            || coalesce(millrace.hash_part(convert_to(millrace.backoff_text(opts.backoff), 'UTF8')), '')
            || coalesce(millrace.hash_part(convert_to('soft ' || nullif(opts.soft_timeout_ns, 0), 'UTF8')), '')
            || coalesce(millrace.hash_part(convert_to((callback ->> 'url') || coalesce((select string_agg(' ' || e.value, '' order by e.n)
                from jsonb_array_elements_text(callback -> 'events') with ordinality e (value, n)), ''), 'UTF8')), ''))) r;
        if not reserved.fresh then
            return reserved.id;
        end if;
        job := reserved.id;
    end if;

    if opts.rule is not null then
        return millrace.enqueue_placed(opts.idempotency_key, opts.rule, job, function, body,
            coalesce(opts.queue, settings ->> 'queue', 'default'),
            coalesce(nullif(opts.priority, 0), (settings ->> 'priority')::integer, 2),
            coalesce(nullif(opts.max_attempts, 0), (settings ->> 'max_attempts')::integer, 5),
            opts.run_at, opts.delay_ns / 1000, opts.tags, metadata);
    end if;

    insert into millrace.river_job
        (id, kind, args, queue, priority, max_attempts, state, created_at, scheduled_at, tags, metadata)
    values (
        coalesce(job, nextval('millrace.river_job_id_seq')), function, body,
        coalesce(opts.queue, settings ->> 'queue', 'default'),
        coalesce(nullif(opts.priority, 0), (settings ->> 'priority')::integer, 2),
        coalesce(nullif(opts.max_attempts, 0), (settings ->> 'max_attempts')::integer, 5),
        case when opts.run_at > at or opts.delay_ns >= 1000 then 'scheduled' else 'available' end::millrace.river_job_state,
        at, greatest(opts.run_at, at + opts.delay_ns / 1000 * interval '1 microsecond', at), -- passes over nulls
        opts.tags::varchar(255)[], metadata)
    returning id into job;
    return job;
end
$$;

-- Cancels an unfinished job, one that runs only if that is wanted, and returns
-- its state as River names it; null when nothing was done. A running one is only
-- marked, and its node is told; the attempt's end cancels it, and if that node is
-- gone, the rescue does.
create function millrace.cancel_job(job bigint, running boolean) returns text
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    with cancelled as (
        update millrace.river_job
        set state = case state when 'running' then state else 'cancelled' end,
            finalized_at = case state when 'running' then null else now() end,
            metadata = case state
                when 'running' then
                    case jsonb_typeof(metadata) when 'object' then metadata else '{}' end
                        || jsonb_build_object('cancel_attempted_at', now())
                else metadata
            end
        where id = job and state not in ('completed', 'discarded', 'cancelled') and (running or state <> 'running')
        returning id, state, attempt, kind
    ), told as (
        select state, pg_notify('millrace_jobs', case state
            when 'running' then 'c ' || id || ' ' || attempt
            else 's ' || id || ' cancelled ' || attempt || ' ' || kind
        end)
        from cancelled
    )
    select t.state::text from told t where t.pg_notify is not null
$$;

-- Makes a job that waits or has failed ready at once, with at least one more
-- attempt, and reports whether there was one. River's retry would wait for the
-- next poll, since it tells nobody.
create function millrace.retry_job(job bigint) returns boolean
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    with retried as (
        update millrace.river_job
        set state = 'available', scheduled_at = now(), finalized_at = null,
            max_attempts = greatest(max_attempts, attempt + 1),
            metadata = case jsonb_typeof(metadata)
                when 'object' then metadata - '{cancel_attempted_at,progress}'::text[]
                else '{}'
            end
        where id = job and state in ('discarded', 'cancelled', 'retryable', 'scheduled', 'pending')
        returning id, attempt, kind, queue
    ), told as (
        select pg_notify('millrace.river_insert', json_build_object('queue', queue)::text) woken,
            pg_notify('millrace_jobs', 's ' || id || ' queued ' || attempt || ' ' || kind) heard
        from retried
    )
    select count(t.woken) > 0 and count(t.heard) > 0 from told t
$$;

-- Running jobs that a transaction wants cancelled. Their rows are marked as it
-- commits and not before: whoever records that such a job is done would wait for
-- the transaction, and the other jobs of its batch with it. A row is gone when
-- its transaction is, so that a crash can leave none either.
create unlogged table millrace.cancel_request (
    id  bigint generated always as identity primary key,
    job bigint not null
);

create function millrace.cancel_requested() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform millrace.cancel_job(new.job, true);
    delete from millrace.cancel_request r where r.id = new.id;
    return null;
end
$$;
create constraint trigger cancel_requested after insert on millrace.cancel_request
    deferrable initially deferred for each row execute function millrace.cancel_requested();

-- The state of a job in the words of the API, for errors: raises when there is
-- no such job.
create function millrace.refuse_state(caller text, job bigint) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    state text;
begin
    select case j.state when 'available' then 'queued' when 'pending' then 'scheduled' when 'retryable' then 'retrying'
        when 'discarded' then 'failed' else j.state::text end
    into state from millrace.river_job j where j.id = job;
    if state is null then
        raise exception '%: there is no job %', caller, coalesce(job::text, 'null')
            using errcode = 'P0002', hint = 'Finished jobs are deleted after some time.';
    end if;
    raise exception '%: job % is %', caller, job, state
        using errcode = '55000', hint = case caller
            when 'millrace.cancel' then 'Only a job that has not finished can be cancelled.'
            else 'Only a job that has failed, was cancelled, or waits for its time or its next attempt can be retried.'
        end;
end
$$;

-- millrace.cancel ends a job that has not finished, when the calling transaction
-- commits. It returns 'cancelled', or 'running' for one that runs: that is told
-- to stop then, wherever it runs. A role needs USAGE on the schema to call it.
create function millrace.cancel(job bigint) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    state text;
begin
    if exists (select from millrace.river_job j where j.id = job and j.state is not distinct from 'running') then
        insert into millrace.cancel_request (job) values (cancel.job);
        return 'running';
    end if;
    state := millrace.cancel_job(job, true);
    if state is null then
        perform millrace.refuse_state('millrace.cancel', job);
    end if;
    return state;
end
$$;

-- millrace.retry makes a job that failed, was cancelled, is retrying or
-- scheduled ready to run at once, when the calling transaction commits. One whose
-- attempts are used up gets one more. It returns 'queued'. A role needs USAGE on
-- the schema to call it.
create function millrace.retry(job bigint) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not millrace.retry_job(job) then
        perform millrace.refuse_state('millrace.retry', job);
    end if;
    return 'queued';
end
$$;
