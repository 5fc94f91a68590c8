-- Takes the oldest rows of the outbox: at most $3, and none after those that
-- together weigh $4. ctid = any(array(...)) keeps the planner from a join over
-- the bloat of a table that was empty when it looked last.
delete from millrace.outbox
where ctid = any (array(
    select o.place
    from (select ctid place, sum(size) over (order by id) - size before
          from (select ctid, id, size from millrace.outbox where shard = $1 and id > $2 order by id limit $3) oldest) o
    where o.before < $4))
returning id, channel, data, meta, key, origin, options, size
