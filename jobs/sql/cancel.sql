-- Cancels an unfinished job. A running one is only marked, and its node is told; the attempt's end cancels it, and
-- if that node is gone, the rescue does.
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
    where id = $1 and state not in ('completed', 'discarded', 'cancelled')
    returning id, state, attempt, kind
)
select pg_notify('millrace_jobs', case state
    when 'running' then 'c ' || id || ' ' || attempt
    else 's ' || id || ' cancelled ' || attempt || ' ' || kind
end)
from cancelled
