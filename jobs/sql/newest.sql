select id, kind, state::text, attempt, coalesce(finalized_at, attempted_at, created_at)
from millrace.river_job
order by id desc
limit $1
