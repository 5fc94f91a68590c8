-- Completes attempt $2 of the jobs $1 (sorted), when client $3 still holds them. $4 is one object, id to what is
-- merged into the metadata. No join: a join over an array goes quadratic when the planner has no statistics.
-- "is not distinct from" keeps the planner off the partial index of running rows: the primary key is the way.
update millrace.river_job
set state = 'completed', finalized_at = now(),
    metadata = case jsonb_typeof(metadata) when 'object' then metadata else '{}' end || ($4::jsonb -> id::text)
where id = any ($1::bigint[])
  and attempt = $2::smallint
  and state is not distinct from 'running'
  and attempted_by[array_upper(attempted_by, 1)] = $3::text
returning id
