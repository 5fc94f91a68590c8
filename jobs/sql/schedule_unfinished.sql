-- The unfinished jobs of schedules, among the newest hundred of each; running ones only where $2 says so.
select s.name, r.id
from unnest($1::text[], $2::boolean[]) as s (name, running)
cross join lateral (
    select job_id from millrace.schedule_job
    where schedule = s.name
    order by job_id desc
    limit 100
) j
cross join lateral (
    select id, state from millrace.river_job where id = j.job_id
) r
where r.state in ('available', 'pending', 'retryable', 'scheduled') or r.state = 'running' and s.running
