-- Takes the oldest rows of the outbox: at most $3, and none after those that
-- together weigh $4. ctid = any(array(...)) keeps the planner from a join over
-- the bloat of a table that was empty when it looked last. A row that is not of
-- the shape which millrace writes comes with null arrays.
with taken as (
    delete from millrace.outbox
    where ctid = any (array(
        select o.place
        from (select ctid place, sum(size) over (order by id) - size before
              from (select ctid, id, size from millrace.outbox where shard = $1 and id > $2 order by id limit $3) oldest) o
        where o.before < $4))
    returning id, channel, data, meta, key, origin, options, size
)
select t.id, case when s.sound then t.channel end, case when s.sound then t.data end, case when s.sound then t.meta end,
    case when s.sound then t.key end, case when s.sound then t.origin end, case when s.sound then t.options end, t.size
from taken t,
    lateral (select array_ndims(t.channel) = 1 and array_ndims(t.data) = 1 and cardinality(t.data) = cardinality(t.channel)
                and (t.meta is null or array_ndims(t.meta) = 1 and cardinality(t.meta) = cardinality(t.channel))
                and (t.key is null or array_ndims(t.key) = 1 and cardinality(t.key) = cardinality(t.channel))
                and (t.origin is null or array_ndims(t.origin) = 1 and cardinality(t.origin) = cardinality(t.channel))
                and (t.options is null or array_ndims(t.options) = 1 and cardinality(t.options) = cardinality(t.channel))
                and array_position(t.channel, null) is null and array_position(t.data, null) is null) s(sound)
