-- The operations of job $1 behind position $2, $3 of them. Values of more than $4 bytes are left out.
select s.position, s.kind, s.name, s.state, s.tries, s.attempt,
    case when pg_column_size(s.value) <= $4 then s.value end, s.value is not null and pg_column_size(s.value) > $4,
    s.error, s.due_at, coalesce(s.event, ''), coalesce(s.key, ''), coalesce(s.child_id, 0), s.created_at, s.settled_at
from millrace.job_step s
where s.job_id = $1 and s.position > $2 and s.kind <> 'values'
order by s.position
limit $3
