-- Writes a batch. Nothing is written, and 0 returned, when the term is over or,
-- if $3, when the outbox holds rows: they were committed earlier and go first.
with fence as (
    update millrace.shard set seq = seq + 1
    where shard = $1 and term = $2
      and not ($3 and exists (select from millrace.outbox o where o.shard = $1 and o.id > $4))
    returning 1
), messages as (
    insert into millrace.message (channel, pos, epoch, data, meta, origin)
    select u.* from fence, unnest($5::text[], $6::bigint[], $7::text[], $8::bytea[], $9::text[], $10::text[]) u
), tops as (
    insert into millrace.channel as c (channel, top, epoch)
    select u.* from fence, unnest($11::text[], $12::bigint[], $13::text[]) u
    on conflict (channel) do update set top = excluded.top, epoch = excluded.epoch, touched_at = excluded.touched_at
), keys as (
    insert into millrace.publish_key as k (channel, key, pos, epoch)
    select u.* from fence, unnest($14::text[], $15::text[], $16::bigint[], $17::text[]) u
    on conflict (channel, key) do update set pos = excluded.pos, epoch = excluded.epoch, created_at = excluded.created_at
)
select count(pg_catalog.pg_notify('millrace_rt', payload)) from fence, unnest($18::text[]) payload
