-- Takes the operation for node $1 that has waited longest for its next batch: one of its own, or one that nobody
-- works on. The lease is renewed by each batch.
update millrace.operation
set node = $1, lease_until = now() + interval '10 seconds', state = 'running', started_at = coalesce(started_at, now())
where id = (
    select id from millrace.operation
    where finished_at is null and (node = $1 or lease_until is null or lease_until < now())
    order by lease_until nulls first, id
    limit 1
    for update skip locked)
returning 
