select from unnest($1::bigint[]) as j (id) where millrace.retry_job(j.id)
