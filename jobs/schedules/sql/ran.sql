update millrace.schedule
set last_tick_at = null, last_job_at = now(), last_job_id = $2
where name = $1
