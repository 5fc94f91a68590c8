-- Begins a new term. The update waits for a transaction of the old owner that
-- still holds the row, so after it the old term's count is final.
--
-- It finds out what was lost before: the mark is in an unlogged table, which a
-- crash empties (and which is empty on a promoted standby), and $2 is the last
-- durable batch that this instance has heard of, which is gone where the count
-- is below it.
with begun as (
    update millrace.shard set term = term + 1 where shard = $1
    returning shard, term, seq
), ended as (
    insert into millrace.shard_term (shard, term, seq)
    select shard, term - 1, seq from begun
), marked as (
    insert into millrace.crash_mark (shard) select shard from begun
    on conflict do nothing
    returning 1
), found as (
    select b.shard, (select count(*) from marked)::integer crashes, (b.seq < $2)::integer losses from begun b
), told as (
    update millrace.epoch e set
        crashes = e.crashes + f.crashes,
        losses = e.losses + f.losses,
        fresh = case when f.losses > 0 then millrace.new_epoch() else e.fresh end
    from found f
    where e.shard = f.shard and f.crashes + f.losses > 0
)
select b.term, b.seq, f.crashes, f.losses from begun b join found f on f.shard = b.shard
