update millrace.schedule
set paused_at = coalesce(paused_at, now()), due_at = null
where name = $1
