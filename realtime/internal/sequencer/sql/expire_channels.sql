-- Forgets channels without messages that nobody published to for 30 days. Those
-- of the epoch with which new ones are made stay, or they could come back with
-- the offsets that they had. Rows that somebody has locked are left for the next
-- time, so this waits for nobody.
delete from millrace.channel
where ctid = any (array(
    select c.ctid from millrace.channel c
    where c.channel = any ($1)
      and c.touched_at < pg_catalog.now() - interval '30 days'
      and c.epoch <> (select e.fresh from millrace.epoch e where e.shard = $2)
      and not exists (select from millrace.message m where m.channel = c.channel)
    for update skip locked))
