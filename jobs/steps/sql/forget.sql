-- Takes failures ($4, positions) out of the history of attempt $2 of job $1, when client $3 still holds it: the next
-- attempt meets those operations anew.
delete from millrace.job_step s
where s.job_id = $1 and s.position = any ($4::integer[]) and s.state = 'failed'
  and exists (
    select from millrace.river_job j
    where j.id = $1 and j.attempt = $2::smallint and j.state is not distinct from 'running'
      and j.attempted_by[array_upper(j.attempted_by, 1)] = $3::text
    for share)
