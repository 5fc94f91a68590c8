-- The first requests of keys that were in use.
select key, request_hash, job_id from millrace.idempotency where key = any ($1::text[])
