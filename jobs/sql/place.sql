-- Submits a batch of jobs under rules (millrace.place_job) and tells about them as insert.sql does. The keys come in
-- order, so that two batches do not wait for each other. n counts the rows from 1.
with placed as materialized (
    select p.id, p.state, p.created_at, p.scheduled_at, p.outcome, b.n, b.kind, b.queue
    from (
        select r.*, millrace.unique_key(r.rule, r.kind, r.args) as key
        from unnest(
            $1::bigint[], $2::text[], $3::jsonb[], $4::text[], $5::smallint[], $6::smallint[],
            $7::timestamptz[], $8::bigint[], $9::text[], $10::jsonb[], $11::jsonb[]
        ) with ordinality as r (id, kind, args, queue, priority, max_attempts, run_at, delay_us, tags, metadata, rule, n)
        order by key, n
    ) b
    cross join lateral millrace.place_job(b.key, b.rule, b.id, b.kind, b.args, b.queue, b.priority, b.max_attempts,
        b.run_at, b.delay_us, string_to_array(b.tags, ','), b.metadata) p
), woken as (
    select pg_notify('millrace.river_insert', json_build_object('queue', q.queue)::text)
    from (select distinct queue from placed where state = 'available' and outcome in ('created', 'replaced')) q
), told as (
    select pg_notify('millrace_jobs', string_agg(h.line, E'\n'))
    from (
        select distinct on (id) 's ' || id || case state when 'scheduled' then ' scheduled 0 ' else ' queued 0 ' end || kind as line
        from placed
        where outcome in ('created', 'replaced')
        order by id desc
        limit 45
    ) h
    having count(*) > 0
)
select p.n::integer, coalesce(p.id, 0), coalesce(p.state, ''), p.created_at, p.scheduled_at, p.outcome
from placed p, (select count(*) from woken) w, (select count(*) from told) t
