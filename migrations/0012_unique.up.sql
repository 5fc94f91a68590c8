-- Submissions of which one job is to come: unique, debounce, throttle.
--
-- A rule is an object of one key, as a function's config and the instances write
-- it; times are milliseconds:
--   {"unique":   {"key", "period_ms", "replace"}}
--   {"debounce": {"key", "period_ms", "max_ms"}}
--   {"throttle": {"key", "period_ms", "limit", "drop"}}

-- The newest job of a key. Whoever submits one holds the row until its
-- transaction has ended, and looks at the job after that: so of submissions that
-- come together each sees what became of the one before. A job that is deleted
-- frees its key, but for a throttle, which goes on counting.
create table millrace.job_unique (
    key        bytea       primary key,
    job_id     bigint,        -- null in the transaction that makes the row, and nowhere else
    starts     timestamptz[], -- of a throttle: the starts that it planned, the last ones of its limit
    expires_at timestamptz    -- of a throttle: when none of them counts any more
) with (fillfactor = 70);
create index job_unique_job_id on millrace.job_unique (job_id);
create index job_unique_expires_at on millrace.job_unique (expires_at) where expires_at is not null;

create function millrace.unique_freed() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- A row that is held belongs to a submission, which will point it elsewhere: no deletion waits for that.
    delete from millrace.job_unique where key = any (array(
        select u.key from millrace.job_unique u
        where u.job_id = any (array(select id from gone)) and u.expires_at is null
        for update skip locked));
    return null;
end
$$;
create trigger unique_freed
    after delete on millrace.river_job
    referencing old table as gone
    for each statement
    execute function millrace.unique_freed();

-- The key of a rule for an input: of its expression's value; without one, unique
-- means the whole input, the others all jobs of the function.
create function millrace.unique_key(rule jsonb, function text, input jsonb) returns bytea
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select sha256(convert_to(concat_ws(E'\x1f', r.mode, function, coalesce(r.spec ->> 'key', ''), case
        when r.mode = 'unique' and not r.spec ? 'key' then input::text
        else millrace.limit_key(r.spec ->> 'key', input)
    end), 'UTF8'))
    from jsonb_each(rule) as r (mode, spec)
$$;

create function millrace.rule_time(spec jsonb, field text) returns interval
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select (spec ->> field)::bigint * interval '1 millisecond'
$$;

-- Submits a job under a rule; the_key is millrace.unique_key of it. Every way in
-- calls it. The answer is the job, and what became of the submission: created;
-- existing and dropped, which leave the job as it is; replaced; or full, with no
-- job, when a throttle has no room and no job to show.
create function millrace.place_job(
    the_key bytea, rule jsonb, the_id bigint, kind text, input jsonb, queue text, priority integer,
    max_attempts integer, run_at timestamptz, delay_us bigint, tags text[], metadata jsonb,
    out id bigint, out state text, out created_at timestamptz, out scheduled_at timestamptz, out outcome text
)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    mode     constant text := (select k from jsonb_object_keys(rule) k);
    spec     constant jsonb := rule -> mode;
    period   constant interval := millrace.rule_time(spec, 'period_ms');
    most     constant integer := (spec ->> 'limit')::integer;
    full_row constant jsonb := metadata
        || jsonb_strip_nulls(jsonb_build_object('lane', millrace.lane(kind, input)));
    at       timestamptz; -- this submission's, in the order of those of the key
    due      timestamptz;
    free     timestamptz;
    held     record;
    planned  record;
begin
    insert into millrace.job_unique as u (key) values (the_key)
    on conflict (key) do update set job_id = u.job_id
    returning u.job_id, u.starts into planned;
    at := clock_timestamp();
    due := greatest(run_at, at + delay_us * interval '1 microsecond', at); -- passes over nulls

    select j.id, j.state::text, j.created_at, j.scheduled_at,
        j.state in ('available', 'scheduled', 'pending') and j.attempt = 0 and j.attempted_at is null as waits
    into held
    from millrace.river_job j where j.id = planned.job_id;
    id := held.id;
    state := held.state;
    created_at := held.created_at;
    scheduled_at := held.scheduled_at;

    if mode = 'throttle' then
        -- Room comes when the start before the last ones of the limit is a period ago.
        free := planned.starts[cardinality(planned.starts) - most + 1] + period;
        if free > at and ((spec -> 'drop')::boolean or free > at + interval '10 years') then
            outcome := case when id is null or not coalesce((spec -> 'drop')::boolean, false) then 'full' else 'dropped' end;
            return;
        end if;
        due := greatest(due, free);
    elsif mode = 'debounce' then
        due := at + period;
        if state in ('scheduled', 'pending') and held.waits then
            outcome := 'replaced';
            due := greatest(at, least(due, created_at + millrace.rule_time(spec, 'max_ms')));
        end if;
    elsif (case when period is null then state not in ('completed', 'discarded', 'cancelled')
        else created_at > at - period and state not in ('discarded', 'cancelled') end) then
        outcome := case when held.waits and (spec -> 'replace')::boolean then 'replaced' else 'existing' end;
    end if;

    if outcome = 'replaced' then
        -- Unless it has begun since.
        update millrace.river_job j
        set args = input, queue = place_job.queue, priority = place_job.priority,
            max_attempts = place_job.max_attempts, tags = place_job.tags::varchar(255)[], metadata = full_row,
            state = case when due > at then 'scheduled' else 'available' end::millrace.river_job_state,
            scheduled_at = due
        where j.id = held.id and j.state in ('available', 'scheduled', 'pending') and j.attempt = 0
          and j.attempted_at is null
        returning j.state::text, j.scheduled_at into state, scheduled_at;
        if found then
            return;
        end if;
        outcome := case when mode = 'unique' then 'existing' end;
        due := at + period;
    end if;
    if outcome = 'existing' then
        select j.state::text, j.scheduled_at into state, scheduled_at
        from millrace.river_job j where j.id = held.id;
        return;
    end if;

    insert into millrace.river_job as j
        (id, kind, args, queue, priority, max_attempts, state, created_at, scheduled_at, tags, metadata)
    values (coalesce(the_id, nextval('millrace.river_job_id_seq')), kind, input, queue, priority, max_attempts,
        case when due > at then 'scheduled' else 'available' end::millrace.river_job_state, at, due,
        tags::varchar(255)[], full_row)
    returning j.id, j.state::text, j.created_at, j.scheduled_at into id, state, created_at, scheduled_at;
    outcome := 'created';

    -- A throttle that puts off counts the planned start, one that drops the submission.
    free := case when (spec -> 'drop')::boolean then at else due end;
    planned.starts := (planned.starts || free)[greatest(1, cardinality(planned.starts) + 2 - most):];
    update millrace.job_unique u
    set job_id = place_job.id,
        starts = case when mode = 'throttle' then planned.starts end,
        expires_at = case when mode = 'throttle' then free + period end
    where u.key = the_key;
end
$$;

-- The options of millrace.enqueue that make a rule, and those of a backoff, read
-- as the instances read those of HTTP: the stored form, or what is wrong.

-- Whole milliseconds of a duration within bounds, null for 0; or its mistake.
create function millrace.option_ms(given jsonb, what text, shortest bigint, longest bigint, out ms bigint, out wrong text)
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    ns constant bigint := millrace.duration_ns(given #>> '{}');
begin
    if given is null then
        return;
    end if;
    if jsonb_typeof(given) not in ('string', 'number') or ns is null then
        wrong := what || ' is a duration such as 500ms, 10s, 2h, or a number of seconds';
    elsif ns <> 0 and ns / 1000000 not between shortest and longest then
        wrong := format('%s must be between %s ms and %s ms', what, shortest, longest);
    else
        ms := nullif(ns / 1000000, 0);
    end if;
end
$$;

create function millrace.rule_option(mode text, given jsonb, out spec jsonb, out wrong text[])
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    year   constant bigint := 31536000000;
    fields constant jsonb := '{"unique": {"key": "string", "period": "", "replace": "boolean"},
        "debounce": {"key": "string", "period": "", "max": ""},
        "throttle": {"key": "string", "period": "", "limit": "number", "drop": "boolean"}}';
    period record;
    most   record;
begin
    if given is null or given = 'false' then
        return;
    end if;
    if mode = 'unique' and given = 'true' then
        given := '{}';
    elsif mode = 'unique' and jsonb_typeof(given) = 'string' then
        given := jsonb_build_object('key', given);
    elsif mode = 'debounce' and jsonb_typeof(given) in ('string', 'number') then
        given := jsonb_build_object('period', given);
    elsif mode = 'throttle' and given #>> '{}' ~ '^[0-9]{1,9}/' then
        given := jsonb_build_object('limit', split_part(given #>> '{}', '/', 1)::integer,
            'period', split_part(given #>> '{}', '/', 2));
    elsif jsonb_typeof(given) <> 'object' then
        wrong := array[mode || ' is ' || case mode when 'unique' then 'true, a key such as "input.id", or {key, period, replace}'
            when 'debounce' then 'a duration such as "10s", or {period, max, key}'
            else 'a text such as "5/1m", or {limit, period, key, drop}' end];
        return;
    end if;

    select array_agg(case when fields -> mode ? f.key then format('%s.%s is a %s', mode, f.key, fields -> mode ->> f.key)
        else format('%s: %s is no option; there are %s', mode, quote_literal(left(f.key, 60)),
            (select string_agg(k, ', ') from jsonb_object_keys(fields -> mode) k)) end order by f.key)
    into wrong
    from jsonb_each(given) f
    where not coalesce(fields -> mode ->> f.key in ('', jsonb_typeof(f.value)), false);
    if wrong is not null then
        return;
    end if;

    if octet_length(given ->> 'key') > 200 or given ->> 'key'
        !~ '^(?:input(?:\.[^.{}\s]+)*|[^{}]*(?:\{input(?:\.[^.{}\s]+)*\}[^{}]*)+)?$' then
        wrong := array_append(wrong, mode || '.key must be a path such as input.customer.id or a template such as {input.region}:{input.id}, at most 200 bytes');
    end if;
    period := millrace.option_ms(given -> 'period', mode || '.period', 1, year);
    most := millrace.option_ms(given -> 'max', mode || '.max', 1, year);
    wrong := array_remove(wrong || period.wrong || most.wrong, null);
    if mode <> 'unique' and period.ms is null and period.wrong is null then
        wrong := array_append(wrong, mode || '.period must be between 1 ms and ' || year || ' ms');
    end if;
    if most.ms < period.ms then
        wrong := array_append(wrong, 'debounce.max must not be less than debounce.period');
    end if;
    if mode = 'throttle' and not coalesce(given ->> 'limit' ~ '^[0-9]{1,4}$'
        and (given ->> 'limit')::integer between 1 and 1000, false) then
        wrong := array_append(wrong, 'throttle.limit must be between 1 and 1000');
    end if;
    if cardinality(wrong) > 0 then
        return;
    end if;
    wrong := null;
    spec := jsonb_strip_nulls(jsonb_build_object('key', nullif(given ->> 'key', ''), 'period_ms', period.ms,
        'max_ms', most.ms, 'limit', (given ->> 'limit')::integer,
        'replace', nullif((given -> 'replace')::boolean, false), 'drop', nullif((given -> 'drop')::boolean, false)));
end
$$;

-- At most one of the three.
create function millrace.rule_options(options jsonb, out rule jsonb, out wrong text[])
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    mode text;
    one  record;
begin
    foreach mode in array array['unique', 'debounce', 'throttle'] loop
        one := millrace.rule_option(mode, options -> mode);
        wrong := wrong || one.wrong;
        if one.spec is null then
            continue;
        end if;
        if rule is not null then
            wrong := array_append(wrong, mode || ' cannot be combined with '
                || (select k from jsonb_object_keys(rule) k) || ': a submission has one rule');
        end if;
        rule := coalesce(rule, jsonb_build_object(mode, one.spec));
    end loop;
end
$$;

create function millrace.backoff_option(given jsonb, out backoff jsonb, out wrong text[])
    language plpgsql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    day   constant bigint := 86400000;
    waits jsonb;
    short boolean := jsonb_typeof(given) in ('string', 'number');
    first record;
    most  record;
begin
    if given is null then
        return;
    end if;
    if jsonb_typeof(given) in ('string', 'number') then
        given := jsonb_build_object('first', given);
    elsif jsonb_typeof(given) = 'array' then
        given := jsonb_build_object('delays', given);
    elsif jsonb_typeof(given) <> 'object' then
        wrong := array['backoff is a duration such as "10s", a list of them, or {kind, first, max, factor, jitter, delays}'];
        return;
    end if;

    select array_agg(format('backoff: %s is no option; there are kind, first, max, factor, jitter, delays',
        quote_literal(left(k, 60))) order by k)
    into wrong
    from jsonb_object_keys(given) k where k not in ('kind', 'first', 'max', 'factor', 'jitter', 'delays');
    if given ->> 'kind' not in ('', 'exponential', 'linear', 'fixed') then
        wrong := array_append(wrong, 'backoff.kind must be exponential, linear or fixed');
    end if;
    first := millrace.option_ms(given -> 'first', 'backoff.first', 1, day);
    if short and first.ms is null and first.wrong is null then
        wrong := array_append(wrong, 'backoff must be at least 1 ms');
    end if;
    most := millrace.option_ms(given -> 'max', 'backoff.max', 1, day);
    wrong := array_remove(wrong || first.wrong || most.wrong, null);
    if given ? 'factor' and not (jsonb_typeof(given -> 'factor') = 'number'
        and (given ->> 'factor')::numeric between 1 and 100) then
        wrong := array_append(wrong, 'backoff.factor must be a number from 1 to 100');
    end if;
    if given ? 'jitter' and not (jsonb_typeof(given -> 'jitter') = 'number'
        and (given ->> 'jitter')::numeric between 0 and 1) then
        wrong := array_append(wrong, 'backoff.jitter must be a number from 0 to 1');
    end if;
    if given ? 'delays' then
        if jsonb_typeof(given -> 'delays') <> 'array' or jsonb_array_length(given -> 'delays') not between 1 and 99 then
            wrong := array_append(wrong, 'backoff.delays must be 1 to 99 durations');
        else
            select jsonb_agg(w.ms order by d.n), bool_or(w.ms is null) into waits, short
            from jsonb_array_elements(given -> 'delays') with ordinality d (value, n),
                millrace.option_ms(d.value, 'a wait', 1, day) w;
            if short then
                wrong := array_append(wrong, format('each wait of backoff must be a duration between 1 ms and %s ms', day));
            end if;
        end if;
        if given ?| array['kind', 'first', 'max', 'factor'] then
            wrong := array_append(wrong, 'backoff is a list of waits or a rule for them, not both');
        end if;
    end if;
    if cardinality(wrong) > 0 then
        return;
    end if;
    wrong := null;
    -- A jitter of 0 is stored as less: without one it is a fifth.
    backoff := nullif(jsonb_strip_nulls(jsonb_build_object('kind', nullif(given ->> 'kind', ''), 'first_ms', first.ms,
        'max_ms', most.ms, 'factor', given -> 'factor',
        'jitter', coalesce(nullif((given ->> 'jitter')::numeric, 0), case when given ? 'jitter' then -1 end),
        'delays_ms', waits)), '{}');
end
$$;

-- The texts that stand for a rule and a backoff in the hash of a request: the
-- same as of submissions that do not come by SQL.
create function millrace.rule_text(rule jsonb) returns text
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(' ', r.mode, coalesce(r.spec ->> 'period_ms', '0'), case r.mode
        when 'unique' then coalesce(r.spec ->> 'replace', 'false')
        when 'debounce' then coalesce(r.spec ->> 'max_ms', '0')
        else (r.spec ->> 'limit') || ' ' || coalesce(r.spec ->> 'drop', 'false')
    end, coalesce(r.spec ->> 'key', ''))
    from jsonb_each(rule) as r (mode, spec)
$$;

create function millrace.backoff_text(backoff jsonb) returns text
    language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(' ', 'backoff', coalesce(backoff ->> 'kind', ''), coalesce(backoff ->> 'first_ms', '0'),
        coalesce(backoff ->> 'max_ms', '0'), coalesce(round((backoff ->> 'factor')::numeric * 1000000), 0)::bigint,
        coalesce(round((backoff ->> 'jitter')::numeric * 1000000), 0)::bigint,
        (select string_agg(d, ' ') from jsonb_array_elements_text(backoff -> 'delays_ms') d))
    where backoff is not null
$$;

-- The part of millrace.enqueue that is for rules.
create function millrace.enqueue_placed(
    idempotency_key text, rule jsonb, the_id bigint, function text, input jsonb, queue text, priority integer,
    max_attempts integer, run_at timestamptz, delay_us bigint, tags text[], metadata jsonb
) returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    placed record := millrace.place_job(millrace.unique_key(rule, function, input), rule, the_id, function, input,
        queue, priority, max_attempts, run_at, delay_us, tags, metadata);
begin
    if placed.outcome = 'full' then
        raise exception 'millrace.enqueue: the throttle of % has no room', function
            using errcode = '53400', hint = 'Try again later.';
    end if;
    if placed.id <> the_id then
        update millrace.idempotency i set job_id = placed.id where i.key = idempotency_key;
    end if;
    -- New rows meet the gate; a job that was replaced may be due sooner than those know who wait for it.
    if placed.outcome = 'replaced' and not rule ? 'debounce' then
        perform pg_notify('millrace_jobs', 's ' || placed.id
            || case placed.state when 'scheduled' then ' scheduled 0 ' else ' queued 0 ' end || function);
        if placed.state = 'available' then
            perform pg_notify('millrace.river_insert', json_build_object('queue', queue)::text);
        end if;
    end if;
    return placed.id;
end
$$;
