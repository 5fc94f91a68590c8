-- Inserts a batch and tells about it, in one statement and so in one transaction. Ids are given out in the order
-- of the arrays: the only source is a function scan. $1 holds ids that an idempotency key has reserved already.
with inserted as (
    insert into millrace.river_job
        (id, kind, args, queue, priority, max_attempts, state, scheduled_at, tags, metadata)
    select coalesce(b.id, nextval('millrace.river_job_id_seq'::regclass)),
        b.kind, b.args, b.queue, b.priority, b.max_attempts,
        case
            when b.run_at > now() or b.delay_us > 0 then 'scheduled'
            else 'available'
        end::millrace.river_job_state,
        greatest(b.run_at, now() + b.delay_us * interval '1 microsecond', now()), -- greatest passes over nulls
        string_to_array(b.tags, ',')::varchar(255)[],
        case when b.limited
            then b.metadata || jsonb_strip_nulls(jsonb_build_object('lane', millrace.lane(b.kind, b.args)))
            else b.metadata
        end
    from unnest(
        $1::bigint[], $2::text[], $3::jsonb[], $4::text[], $5::smallint[], $6::smallint[],
        $7::timestamptz[], $8::bigint[], $9::text[], $10::jsonb[], $11::boolean[]
    ) as b (id, kind, args, queue, priority, max_attempts, run_at, delay_us, tags, metadata, limited)
    returning id, kind, queue, state, created_at, scheduled_at
), woken as (
    -- River's own channel and payload; its clients fetch at once.
    select pg_notify('millrace.river_insert', json_build_object('queue', q.queue)::text)
    from (select distinct queue from inserted where state = 'available') q
), told as (
    -- One payload of hints: scheduled jobs for the promotion timers, the newest others for the feed "jobs",
    -- which shows no more of them anyway. 45 of the longest lines fit.
    select pg_notify('millrace_jobs', string_agg(h.line, E'\n'))
    from (
        select 's ' || id || case state when 'scheduled' then ' scheduled 0 ' else ' queued 0 ' end || kind as line
        from inserted
        order by (state = 'scheduled') desc, id desc
        limit 45
    ) h
)
select i.id, i.state::text, i.created_at, i.scheduled_at
from inserted i, (select count(*) from woken) w, (select count(*) from told) t
