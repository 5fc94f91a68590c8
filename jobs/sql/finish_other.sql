-- The same fence for every other end of an attempt. $4 is the new state; 'available' hands the row back, 'scheduled'
-- hands it on, for another node to claim after the delay, and in both the attempt does not count. With "suspended" in
-- $5, 'scheduled' is a suspension: the number stays and the most attempts grow; if what the job waits for came in the
-- meantime (millrace.wake_job) it is due at once. $5 is one object, id
-- to {"meta": merged into the metadata, "error": appended or absent, "delay_ms": until the next attempt}. A job whose
-- end was asked for is not run again, whatever its attempt came to.
update millrace.river_job
set state = case
        when $4::text in ('available', 'scheduled', 'retryable') and metadata ? 'cancel_attempted_at' then 'cancelled'
        else $4::text
    end::millrace.river_job_state,
    finalized_at = case
        when $4::text in ('available', 'scheduled', 'retryable') and not metadata ? 'cancel_attempted_at' then null
        else now()
    end,
    scheduled_at = case
        when $5::jsonb -> id::text ? 'suspended' and metadata ? 'woken' then now()
        when $4::text in ('scheduled', 'retryable') then now() + ($5::jsonb -> id::text ->> 'delay_ms')::bigint * interval '1 millisecond'
        else scheduled_at
    end,
    attempt = case
        when $4::text in ('available', 'scheduled') and not metadata ? 'cancel_attempted_at'
            and not $5::jsonb -> id::text ? 'suspended' then attempt - 1
        else attempt
    end,
    max_attempts = case when $5::jsonb -> id::text ? 'suspended' then max_attempts + 1 else max_attempts end,
    errors = case
        when ($5::jsonb -> id::text -> 'error') is null then errors
        else array_append(errors, ($5::jsonb -> id::text -> 'error') || jsonb_build_object('started', attempted_at,
            'node', $3::text, 'node_name', (select n.name from millrace.node n where n.id = $3::text)))
    end,
    metadata = case
        when $5::jsonb -> id::text ? 'suspended' then
            (case jsonb_typeof(metadata) when 'object' then metadata - 'woken' else '{}' end)
            || ($5::jsonb -> id::text -> 'meta')
            || jsonb_build_object('run', (case jsonb_typeof(metadata -> 'run') when 'object' then metadata -> 'run' else '{}' end)
                || jsonb_build_object('steps', (case jsonb_typeof(metadata #> '{run,steps}') when 'object'
                        then metadata #> '{run,steps}' else '{}' end)
                    || jsonb_build_object('suspended', $5::jsonb -> id::text -> 'suspended')))
        else case jsonb_typeof(metadata) when 'object' then metadata else '{}' end || ($5::jsonb -> id::text -> 'meta')
    end
where id = any ($1::bigint[])
  and attempt = $2::smallint
  and state is not distinct from 'running'
  and attempted_by[array_upper(attempted_by, 1)] = $3::text
returning id
