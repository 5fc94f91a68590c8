-- Takes up to $2 jobs of queue $1 for client $3. The rows are found and locked by their place (ctid): no join,
-- so no plan of it can go wrong, and a row that moved meanwhile is not found there and stays available.
update millrace.river_job
set state        = 'running',
    attempt      = attempt + 1,
    attempted_at = now(),
    attempted_by = case
        when array_length(attempted_by, 1) >= 100 then attempted_by[array_length(attempted_by, 1) + 2 - 100:]
        else attempted_by
    end || $3::text
where ctid = any (array(
    select ctid
    from millrace.river_job
    where state = 'available' and queue = $1 and scheduled_at <= now()
    order by priority, scheduled_at, id
    limit $2
    for update skip locked))
returning id, attempt, max_attempts, kind, args, metadata ->> 'timeout_ms',
    created_at > now() - interval '3 seconds'
