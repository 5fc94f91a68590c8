-- Who waits for event $1 (with key $2, when it is not null), behind job $3, $4 of them.
select s.job_id,
    coalesce((select j.kind from millrace.river_job j where j.id = s.job_id), ''),
    s.key, s.match, s.created_at, s.due_at
from millrace.job_step s
where s.state = 'waiting' and s.kind = 'event' and s.event = $1 and ($2::text is null or s.key is null or s.key = $2)
  and s.job_id > $3
order by s.job_id, s.position
limit $4
