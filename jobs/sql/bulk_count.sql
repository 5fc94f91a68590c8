select from millrace.river_job
where id = any ($1::bigint[]) and state = any ($2::text[]::millrace.river_job_state[])
