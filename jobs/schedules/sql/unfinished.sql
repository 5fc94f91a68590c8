-- The unfinished jobs of schedules, among the newest hundred of each; running ones only where $2 says so. By an array of
-- ids, and with a fence (offset 0): flattened to joins, it read the whole table of jobs when statistics were missing.
select s.name, r.id
from unnest($1::text[], $2::boolean[]) as s (name, running)
cross join lateral (
    select id, state
    from millrace.river_job
    where id = any (array(
        select job_id from millrace.schedule_job
        where schedule = s.name
        order by job_id desc
        limit 100))
    offset 0
) r
where r.state in ('available', 'pending', 'retryable', 'scheduled') or r.state = 'running' and s.running
