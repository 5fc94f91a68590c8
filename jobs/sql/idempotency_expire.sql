-- Removes a bounded number of expired keys, found by their place: no join, no plan that can go wrong. The order is the
-- index's: without it a table that was never analyzed is read from its beginning.
delete from millrace.idempotency
where ctid = any (array(select ctid from millrace.idempotency where expires_at <= now() order by expires_at limit $1))
