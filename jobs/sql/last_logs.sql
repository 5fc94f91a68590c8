select i.id, l.seq
from unnest($1::bigint[]) as i (id)
cross join lateral (
    select seq from millrace.job_log where job_id = i.id order by seq desc limit 1
) l
