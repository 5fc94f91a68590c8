select from unnest($1::bigint[]) as j (id) where millrace.cancel_job(j.id, true) is not null
