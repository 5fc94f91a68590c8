-- Begins a new term. The update waits for a transaction of the old owner that
-- still holds the row, so after it the old term's count is final.
with begun as (
    update millrace.shard set term = term + 1 where shard = $1
    returning shard, term, seq
)
insert into millrace.shard_term (shard, term, seq)
select shard, term - 1, seq from begun
returning term + 1, seq
