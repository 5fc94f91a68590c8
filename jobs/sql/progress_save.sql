-- $2 is one object, id to {"attempt", "progress"}. An attempt that is over, or is not the newest, saves nothing.
update millrace.river_job
set metadata = case jsonb_typeof(metadata) when 'object' then metadata else '{}' end
    || jsonb_build_object('progress', $2::jsonb -> id::text -> 'progress')
where id = any ($1::bigint[])
  and attempt = ($2::jsonb -> id::text ->> 'attempt')::smallint
  and state is not distinct from 'running'
