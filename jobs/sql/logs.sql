select seq, attempt, at, level, message, fields
from millrace.job_log
where job_id = $1 and seq > $2
order by seq
limit $3
