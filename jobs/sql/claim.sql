-- Takes up to $2 jobs of queue $1 for client $3, unless the queue is paused. The rows are found and locked by their
-- place (ctid): no join, so no plan of it can go wrong, and a row that moved meanwhile is not found there and stays
-- available. A row whose function has got limits since it was submitted is not taken but put into its lane; the last
-- column tells which.
update millrace.river_job
set state        = case when kind = any (array(select function from millrace.function_limit)) then 'available'
        else 'running' end::millrace.river_job_state,
    attempt      = case when kind = any (array(select function from millrace.function_limit)) then attempt
        else attempt + 1 end,
    attempted_at = case when kind = any (array(select function from millrace.function_limit)) then attempted_at
        else now() end,
    attempted_by = case
        when kind = any (array(select function from millrace.function_limit)) then attempted_by
        when array_length(attempted_by, 1) >= 100
            then attempted_by[array_length(attempted_by, 1) + 2 - 100:] || $3::text
        else attempted_by || $3::text
    end,
    metadata     = case when kind = any (array(select function from millrace.function_limit))
        then case jsonb_typeof(metadata) when 'object' then metadata else '{}' end
            || jsonb_build_object('lane', millrace.lane(kind, args))
        else metadata end
where ctid = any (array(
    select ctid
    from millrace.river_job
    where state = 'available' and (metadata ->> 'lane') is null and queue = $1 and scheduled_at <= now()
      and not exists (select from millrace.queue_state where queue = $1)
    order by (scheduled_at at time zone interval '0') + priority * interval '1 hour', id
    limit $2
    for update skip locked))
returning id, attempt, max_attempts, kind, args, metadata ->> 'run',
    date_part('epoch', now() - scheduled_at), state = 'running'
