-- What this node runs according to the database. mr_run serves it.
select id, attempt, metadata ? 'cancel_attempted_at', attempted_at < now() - interval '10 seconds'
from millrace.river_job
where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $1
