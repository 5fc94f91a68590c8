-- Takes up to $1 running jobs whose attempt is lost and lets them run again: at once, since their wait was long
-- enough, or not at all when the attempts are used up or somebody asked for the job's end. Lost is what belongs to a
-- node that has been silent for ten seconds or is gone, and what node $3 says of itself that it does not know ($4).
-- $2 is the failure that the attempt is remembered by.
update millrace.river_job
set state = case
        when metadata ? 'cancel_attempted_at' then 'cancelled'
        when attempt >= max_attempts then 'discarded'
        else 'available'
    end::millrace.river_job_state,
    finalized_at = case
        when metadata ? 'cancel_attempted_at' or attempt >= max_attempts then now()
    end,
    errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', $2::text, 'trace', '',
        'started', attempted_at, 'node', attempted_by[array_upper(attempted_by, 1)]))
where ctid = any (array(
    select ctid
    from millrace.river_job
    where state = 'running'
      and case
          when coalesce(attempted_by[array_upper(attempted_by, 1)], '') = $3::text
              then id = any ($4::bigint[]) and attempted_at < now() - interval '10 seconds'
          else not coalesce(attempted_by[array_upper(attempted_by, 1)], '') = any (array(
              select id from millrace.node where heartbeat_at > now() - interval '10 seconds'))
      end
    order by attempted_at, id
    limit $1
    for update skip locked))
returning id, attempt, kind, queue, state::text
