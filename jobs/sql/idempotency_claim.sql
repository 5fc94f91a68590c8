-- Reserves the keys that are free, each with the id of the job to come. A key is free when it was never used or has
-- expired; one whose job is deleted goes with it. Nothing of another table may decide here: this statement's snapshot
-- is older than the transaction that it waited for. Sorted, so that two batches cannot wait for each other; a key that
-- another transaction is just reserving is waited for.
insert into millrace.idempotency as i (key, request_hash, job_id, expires_at)
select b.key, b.request_hash, nextval('millrace.river_job_id_seq'::regclass), now() + $3::bigint * interval '1 second'
from (
    select k.key, k.request_hash from unnest($1::text[], $2::bytea[]) as k (key, request_hash) order by k.key
) b
on conflict (key) do update
    set request_hash = excluded.request_hash, job_id = excluded.job_id, created_at = now(),
        expires_at = excluded.expires_at
    where i.expires_at <= now()
returning key, job_id
