-- The row of a hand-over whose insert was not answered, by its first origin.
select id from millrace.outbox where shard = $1 and origin[1] = $2 limit 1
