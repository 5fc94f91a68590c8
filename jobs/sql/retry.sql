-- Makes a job that waits or has failed ready at once, with at least one more attempt. River's retry would wait for
-- the next poll, since it tells nobody.
with retried as (
    update millrace.river_job
    set state = 'available', scheduled_at = now(), finalized_at = null,
        max_attempts = greatest(max_attempts, attempt + 1),
        metadata = case jsonb_typeof(metadata)
            when 'object' then metadata - '{cancel_attempted_at,progress}'::text[]
            else '{}'
        end
    where id = $1 and state in ('discarded', 'cancelled', 'retryable', 'scheduled', 'pending')
    returning id, attempt, kind, queue
)
select pg_notify('millrace.river_insert', json_build_object('queue', queue)::text),
    pg_notify('millrace_jobs', 's ' || id || ' queued ' || attempt || ' ' || kind)
from retried
