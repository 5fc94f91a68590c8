-- The callbacks of job $1, oldest first.
select id::text, message_id, event, url, state, attempts, created_at,
    case when state = 'pending' then next_at end, last_at, coalesce(last_status, 0), coalesce(last_error, ''), finished_at
from millrace.callback_delivery
where job_id = $1 and ($2::bigint = 0 or id = $2)
order by id
limit 500
