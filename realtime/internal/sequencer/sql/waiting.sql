-- Whether the outbox has rows that nobody took.
select exists (select from millrace.outbox where shard = $1 and id > $2)
