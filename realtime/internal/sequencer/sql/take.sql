-- Takes the oldest rows of the outbox. ctid = any(array(...)) keeps the planner
-- from a join over the bloat of a table that was empty when it looked last.
delete from millrace.outbox
where ctid = any (array(
    select ctid from millrace.outbox where shard = $1 and id > $2 order by id limit $3))
returning id, channel, data, meta, key, origin
