-- Stores the bytes that attempt $2 of job $1 came to, when client $3 still holds it. The row is locked, so that an attempt
-- which takes over meanwhile comes after this one, and not before.
with mine as (
    select id from millrace.river_job
    where id = $1 and attempt = $2::smallint and state is not distinct from 'running'
      and attempted_by[array_upper(attempted_by, 1)] = $3::text
    for share
)
insert into millrace.job_output as o (job_id, attempt, content_type, data)
select m.id, $2::smallint, $4, $5 from mine m
on conflict (job_id) do update set attempt = excluded.attempt, content_type = excluded.content_type, data = excluded.data
