-- Writes a batch. Nothing is written, and 0 returned, when the term is over or,
-- if $3, when the outbox holds rows: they were committed earlier and go first.
-- If $5, the commit does not wait for the disk.
with fence as (
    update millrace.shard set seq = seq + 1
    where shard = $1 and term = $2
      and not ($3 and exists (select from millrace.outbox o where o.shard = $1 and o.id > $4))
    returning 1
), messages as (
    insert into millrace.message (channel, pos, epoch, data, meta, origin, expires_at)
    select u.channel, u.pos, u.epoch, u.data, u.meta, u.origin, pg_catalog.now() + pg_catalog.make_interval(secs => u.ttl)
    from fence, unnest($6::text[], $7::bigint[], $8::text[], $9::bytea[], $10::text[], $11::text[], $12::double precision[])
        u (channel, pos, epoch, data, meta, origin, ttl)
), tops as (
    insert into millrace.channel as c (channel, top, epoch, version, version_epoch)
    select u.* from fence, unnest($13::text[], $14::bigint[], $15::text[], $16::bigint[], $17::text[]) u
    on conflict (channel) do update set
        top = excluded.top, epoch = excluded.epoch, version = excluded.version, version_epoch = excluded.version_epoch,
        touched_at = excluded.touched_at
), keys as (
    insert into millrace.publish_key as k (channel, key, pos, epoch)
    select u.* from fence, unnest($18::text[], $19::text[], $20::bigint[], $21::text[]) u
    on conflict (channel, key) do update set pos = excluded.pos, epoch = excluded.epoch, created_at = excluded.created_at
)
select count(pg_catalog.pg_notify('millrace_rt', payload)),
       case when $5 then pg_catalog.set_config('synchronous_commit', 'off', true) end
from fence, unnest($22::text[]) payload
