-- A lane is the line in which the jobs of one function and one key wait. Its
-- name stands in the row (metadata's "lane"): the concurrency key, a unit
-- separator, the rate key. Jobs without a lane are the plain claim's (mr_fetch).
create index mr_lane on millrace.river_job (
    queue, kind collate "C", ((metadata ->> 'lane') collate "C"),
    ((scheduled_at at time zone interval '0') + priority * interval '1 hour'), id)
    where state = 'available' and (metadata ->> 'lane') is not null;

-- The running rows are the slots that are taken: nothing else counts them, so
-- that nothing has to be given back, and no count can be wrong.
create index mr_slot on millrace.river_job (kind, split_part(metadata ->> 'lane', E'\x1f', 1))
    where state = 'running' and (metadata ->> 'lane') is not null;

-- What stands between a function's queued jobs and their start. A function that
-- is not in here has no limits, and a row without any is not kept.
create table millrace.function_limit (
    function        text        primary key,
    concurrency     integer     check (concurrency > 0),      -- running at once, of one key
    concurrency_key text,
    rate_limit      integer     check (rate_limit > 0),       -- starts in a period, of one key
    rate_period     interval    check (rate_period > interval '0'),
    rate_burst      integer     check (rate_burst > 0),       -- starts at once after a quiet time
    rate_key        text,
    paused_at       timestamptz,                              -- nothing starts
    check (num_nulls(rate_limit, rate_period, rate_burst) in (0, 3)),
    check (rate_burst::double precision * extract(epoch from rate_period) / rate_limit <= 100 * 366 * 86400::bigint),
    check (num_nonnulls(concurrency, rate_limit, paused_at) > 0)
);

-- GCRA's one number for a key: the theoretical arrival time of its next start.
-- A row whose time has passed says as much as none.
create table millrace.function_rate (
    function text        not null,
    key      text        not null,
    arrival  timestamptz not null,
    primary key (function, key)
) with (fillfactor = 50);
create index function_rate_arrival on millrace.function_rate (arrival);

create table millrace.queue_state (
    queue     text        primary key,
    paused_at timestamptz not null default now()
);

-- The value of a key expression for an input: a path such as input.customer.id,
-- or a template such as {input.region}:{input.customer.id}. What is not there is
-- the empty text. Long keys are cut, with a hash to tell them apart.
create function millrace.limit_key(expression text, input jsonb) returns text
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    key   text := '';
    piece text[];
begin
    if expression is null then
        return '';
    end if;
    if position('{' in expression) = 0 then
        expression := '{' || expression || '}';
    end if;
    for piece in
        select m from regexp_matches(expression, '([^{}]*)(?:\{(input(?:\.[^.{}]+)*)\})?', 'g') m
    loop
        key := key || coalesce(piece[1], '');
        if piece[2] is not null then
            key := key || coalesce(input #>> (string_to_array(piece[2], '.'))[2:], '');
        end if;
    end loop;
    key := replace(key, E'\x1f', ' ');
    if octet_length(key) > 200 then
        key := left(key, 40) || '#' || md5(key);
    end if;
    return key;
end
$$;

-- The lane of a job that is submitted, null when its function has no limits.
-- Every way in calls it, so that a key means the same in all of them.
create function millrace.lane(function text, input jsonb) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select millrace.limit_key(l.concurrency_key, input) || E'\x1f' || millrace.limit_key(l.rate_key, input)
    from millrace.function_limit l
    where l.function = $1
$$;

-- Sets the limits of a function; nulls are none. A pause stays. Without a burst
-- it is what the rate makes in a tenth of a second, and at least one.
create function millrace.set_limits(
    function text, concurrency integer, concurrency_key text,
    rate_limit integer, rate_period interval, rate_burst integer, rate_key text
) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if $2 is null and $4 is null then
        delete from millrace.function_limit l where l.function = $1 and l.paused_at is null;
        update millrace.function_limit l
        set concurrency = null, concurrency_key = null,
            rate_limit = null, rate_period = null, rate_burst = null, rate_key = null
        where l.function = $1;
        return;
    end if;
    insert into millrace.function_limit as l
        (function, concurrency, concurrency_key, rate_limit, rate_period, rate_burst, rate_key)
    values ($1, $2, $3, $4, $5,
        case when $4 is not null then
            coalesce($6, greatest(1, floor(0.1 * $4 / extract(epoch from $5)))::integer)
        end, $7)
    on conflict (function) do update set
        concurrency = excluded.concurrency, concurrency_key = excluded.concurrency_key,
        rate_limit = excluded.rate_limit, rate_period = excluded.rate_period,
        rate_burst = excluded.rate_burst, rate_key = excluded.rate_key;
end
$$;

-- Limits go live with the version that asks for them.
create function millrace.function_went_live() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    config jsonb;
begin
    select v.config into config from millrace.function_version v
    where v.function = new.name and v.version = new.live_version;
    perform millrace.set_limits(new.name,
        (config ->> 'concurrency')::integer, config ->> 'concurrency_key',
        (config #>> '{rate,limit}')::integer,
        (config #>> '{rate,period_ms}')::bigint * interval '1 millisecond',
        (config #>> '{rate,burst}')::integer, config #>> '{rate,key}');
    return null;
end
$$;
create trigger function_went_live
    after insert or update of live_version on millrace.function
    for each row execute function millrace.function_went_live();

-- Takes up to max_jobs jobs out of the lanes of a queue for a client, in the
-- order of the lanes, beginning behind (after_kind, after_lane) and going round;
-- up to share of them from one lane. It looks at max_lanes lanes at most.
--
-- Slots are exact over all clients: whoever takes from a key holds the key's
-- lock until its transaction has ended, and counts the running rows in a
-- statement that begins after it got the lock. Nobody waits for a lock: a key
-- that another client is just taking from is passed over (contended).
--
-- The last row has no id; it tells where the round ended (kind, lane), how many
-- lanes were looked at, whether those were all, and when the next start of a
-- key is due that a rate held back.
create function millrace.claim_lanes(
    the_queue text, max_jobs integer, client text, after_kind text, after_lane text, share integer, max_lanes integer
) returns table (
    id bigint, attempt smallint, max_attempts smallint, kind text, args jsonb, run text, waited double precision,
    lane text, lanes integer, circled boolean, contended boolean, due_ms double precision
)
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- One plan for each statement, made for tables of any size.
    set plan_cache_mode = 'force_generic_plan'
    set enable_seqscan = off
    set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    at_kind  text := after_kind;
    at_lane  text := after_lane;
    wrapped  boolean := after_kind = '';
    look     record;
    limits   millrace.function_limit%rowtype;
    slot_key text;
    rate_key text;
    take     integer;
    taken    integer;
    free     integer;
    space    interval;      -- between two starts, by the rate
    arrival  timestamptz;
    pending  timestamptz;   -- the earliest start that a rate held back
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'claim_lanes needs read committed: with an older snapshot it would count too few slots'
            using errcode = 'invalid_transaction_state';
    end if;
    lanes := 0;
    circled := false;
    contended := false;
    if exists (select from millrace.queue_state q where q.queue = the_queue) then
        max_jobs := 0;
    end if;

    loop
        exit when max_jobs <= 0 or lanes >= max_lanes;

        select j.kind, j.metadata ->> 'lane' as lane into look
        from millrace.river_job j
        where j.state = 'available' and (j.metadata ->> 'lane') is not null and j.queue = the_queue
          and (j.kind collate "C", (j.metadata ->> 'lane') collate "C") > (at_kind, at_lane)
        order by j.kind collate "C", (j.metadata ->> 'lane') collate "C"
        limit 1;
        if not found then
            circled := wrapped;
            exit when wrapped;
            wrapped := true;
            at_kind := '';
            at_lane := '';
            continue;
        elsif wrapped and after_kind <> ''
            and (look.kind collate "C", look.lane collate "C") > (after_kind, after_lane) then
            circled := true;
            exit;
        end if;

        lanes := lanes + 1;
        at_kind := look.kind;
        at_lane := look.lane;
        slot_key := split_part(look.lane, E'\x1f', 1);
        rate_key := split_part(look.lane, E'\x1f', 2);
        take := least(max_jobs, share);

        if limits.function is distinct from look.kind then
            select l.* into limits from millrace.function_limit l where l.function = look.kind;
            limits.function := look.kind;
        end if;

        if limits.paused_at is not null then
            at_kind := look.kind || E'\x01'; -- behind all lanes of the function, before the next one
            at_lane := '';
            continue;
        end if;

        if limits.concurrency is not null then
            -- First without the lock: most keys that wait have no slot free.
            select limits.concurrency - count(*) into free from (
                select from millrace.river_job j
                where j.state = 'running' and (j.metadata ->> 'lane') is not null
                  and j.kind = look.kind and split_part(j.metadata ->> 'lane', E'\x1f', 1) = slot_key
                limit limits.concurrency) busy;
            if free <= 0 then
                at_lane := slot_key || ' '; -- behind all lanes of the key
                continue;
            end if;
            if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('millrace.slot'),
                pg_catalog.hashtext(look.kind || E'\x1f' || slot_key)) then
                contended := true;
                continue;
            end if;
            select limits.concurrency - count(*) into free from (
                select from millrace.river_job j
                where j.state = 'running' and (j.metadata ->> 'lane') is not null
                  and j.kind = look.kind and split_part(j.metadata ->> 'lane', E'\x1f', 1) = slot_key
                limit limits.concurrency) busy;
            if free <= 0 then
                continue;
            end if;
            take := least(take, free);
        end if;

        if limits.rate_limit is not null then
            if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('millrace.rate'),
                pg_catalog.hashtext(look.kind || E'\x1f' || rate_key)) then
                contended := true;
                continue;
            end if;
            -- In whole microseconds, never less than it is.
            space := ceil(extract(epoch from limits.rate_period) * 1000000 / limits.rate_limit) * interval '1 microsecond';
            select r.arrival into arrival from millrace.function_rate r
            where r.function = look.kind and r.key = rate_key;
            arrival := greatest(arrival, now()); -- passes over null
            -- No claim under this rate left a time beyond these: it is of a slower one, or of a clock that was put back.
            if arrival > clock_timestamp() + limits.rate_burst * space then
                arrival := now() + (limits.rate_burst - 1) * space;
            end if;
            -- A start is due from (burst - 1) spaces before its arrival time on.
            free := floor(extract(epoch from now() + (limits.rate_burst - 1) * space - arrival)
                / extract(epoch from space)) + 1;
            if free <= 0 then
                pending := least(pending, arrival - (limits.rate_burst - 1) * space);
                continue;
            end if;
            take := least(take, free);
        end if;

        return query
            update millrace.river_job j
            set state        = 'running',
                attempt      = j.attempt + 1,
                attempted_at = now(),
                attempted_by = case
                    when array_length(j.attempted_by, 1) >= 100
                        then j.attempted_by[array_length(j.attempted_by, 1) + 2 - 100:]
                    else j.attempted_by
                end || client
            where j.ctid = any (array(
                select w.ctid
                from millrace.river_job w
                where w.state = 'available' and (w.metadata ->> 'lane') is not null and w.queue = the_queue
                  and w.kind collate "C" = look.kind and (w.metadata ->> 'lane') collate "C" = look.lane
                  and w.scheduled_at <= now()
                order by (w.scheduled_at at time zone interval '0') + w.priority * interval '1 hour', w.id
                limit take
                for update skip locked))
            returning j.id, j.attempt, j.max_attempts, j.kind, j.args, j.metadata ->> 'run',
                date_part('epoch', now() - j.scheduled_at), look.lane,
                null::integer, null::boolean, null::boolean, null::double precision;
        get diagnostics taken = row_count;
        max_jobs := max_jobs - taken;

        if limits.rate_limit is not null and taken > 0 then
            insert into millrace.function_rate as r (function, key, arrival)
            values (look.kind, rate_key, arrival + taken * space)
            on conflict (function, key) do update set arrival = excluded.arrival;
            if taken = take and taken = free then
                pending := least(pending, arrival + taken * space - (limits.rate_burst - 1) * space);
            end if;
        end if;
    end loop;

    return query select null::bigint, null::smallint, null::smallint, at_kind, null::jsonb, null::text, null::double precision,
        at_lane, lanes, circled, contended,
        extract(epoch from pending - clock_timestamp())::double precision * 1000;
end
$$;
