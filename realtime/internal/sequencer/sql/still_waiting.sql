-- Which hand-overs nobody took yet.
select id from millrace.outbox where shard = $1 and id = any ($2)
