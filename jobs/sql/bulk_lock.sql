-- Locks those of the jobs $1 that are in one of the states $2, in the order in which all batches lock.
select id from millrace.river_job
where id = any ($1::bigint[]) and state = any ($2::text[]::millrace.river_job_state[])
order by id
for update
