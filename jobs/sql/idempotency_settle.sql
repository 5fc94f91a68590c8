-- The keys $1 stand for the jobs $2; those whose job is 0 are free again.
with settled as (
    update millrace.idempotency i set job_id = s.job_id
    from unnest($1::text[], $2::bigint[]) as s (key, job_id)
    where i.key = s.key and s.job_id <> 0
)
delete from millrace.idempotency
where key = any (array(select s.key from unnest($1::text[], $2::bigint[]) as s (key, job_id) where s.job_id = 0))
