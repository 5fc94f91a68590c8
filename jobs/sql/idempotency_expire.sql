-- Removes a bounded number of expired keys, found by their place: no join, no plan that can go wrong.
delete from millrace.idempotency
where ctid = any (array(select ctid from millrace.idempotency where expires_at <= now() limit $1))
