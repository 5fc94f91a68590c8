-- $2 bounds the stored size of the input that is returned, in bytes; larger ones come back as null.
select id, kind, state::text,
    case when pg_column_size(args) <= $2::bigint then args end,
    metadata -> 'output', errors[array_upper(errors, 1)],
    attempt, max_attempts, queue, priority, metadata -> 'progress', coalesce(metadata ->> 'v', ''), tags,
    created_at, scheduled_at, attempted_at, finalized_at, coalesce(attempted_by[array_upper(attempted_by, 1)], '')
from millrace.river_job
where id = any ($1::bigint[])
