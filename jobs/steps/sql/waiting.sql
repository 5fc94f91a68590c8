-- Who waits for event $1 (with key $2, when it is not null), the longest first. Behind job $3.
select s.job_id, s.name, s.key, s.match, s.created_at, s.due_at
from millrace.job_step s
where s.state = 'waiting' and s.kind = 'event' and s.event = $1 and ($2::text is null or s.key is null or s.key = $2)
  and s.job_id > $3
order by s.job_id, s.position
limit $4
