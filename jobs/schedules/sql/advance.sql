-- Records what became of the ticks of schedules that this transaction has locked.
update millrace.schedule s
set next_at = t.next_at, due_at = t.due_at,
    fired = s.fired + t.fired, skipped = s.skipped + t.skipped, missed = s.missed + t.missed,
    last_tick_at = case when t.job_id > 0 then t.tick else s.last_tick_at end,
    last_job_at = case when t.job_id > 0 then now() else s.last_job_at end,
    last_job_id = case when t.job_id > 0 then t.job_id else s.last_job_id end,
    last_error = case when t.fired > 0 or t.error <> '' then t.error else s.last_error end
from unnest(
    $1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[],
    $8::bigint[], $9::text[]
) as t (name, next_at, due_at, fired, skipped, missed, tick, job_id, error)
where s.name = t.name
