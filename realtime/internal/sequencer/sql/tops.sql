-- Reads the tops of channels that are not in memory and gives new channels
-- their epoch. A row that is there is kept alive; one whose top was lost (a
-- partial restore) starts again above its messages.
insert into millrace.channel as c (channel, top, epoch)
select name, 0, pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 8)
from unnest($1::text[]) name
on conflict (channel) do update set
    touched_at = excluded.touched_at,
    top = greatest(c.top, (select max(m.pos) from millrace.message m where m.channel = c.channel))
returning channel, top, epoch
