update millrace.retention_pass
set finished_at = $2, job_id = $3, looked_at = now(),
    begun_at = case when begun_at > now() - interval '1 day' then begun_at else now() end
where name = $1
