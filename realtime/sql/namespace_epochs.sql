-- Ends the epochs of a namespace's channels, of which $2 lists the others: their positions hold no more. $3 is the
-- shard. Like a takeover it begins a new term, and in the same order of locks, so that whoever numbers the channels
-- gives up what it remembers of them.
with begun as (
    update millrace.shard set term = term + 1 where shard = $3
    returning shard, term, seq
), ended as (
    insert into millrace.shard_term (shard, term, seq)
    select shard, term - 1, seq from begun
    returning 1
)
update millrace.channel
set epoch = pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 8)
where exists (select from ended)
  and case when $1::text = '' then pg_catalog.split_part(channel, ':', 1) <> all ($2::text[])
           else pg_catalog.split_part(channel, ':', 1) = $1::text end
