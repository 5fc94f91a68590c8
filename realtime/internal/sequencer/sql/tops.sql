-- Reads the tops of channels that are not in memory and makes those that are
-- new. A row that is there is kept alive; one whose top was lost (a partial
-- restore) starts again above its messages. A channel whose publications may be
-- lost in a crash is marked as one, for as long as it exists.
insert into millrace.channel as c (channel, top, epoch, crashes, losses)
select wanted.name, 0, e.fresh, case when wanted.relaxed then e.crashes end, e.losses
from unnest($1::text[], $2::boolean[]) wanted (name, relaxed)
join millrace.epoch e on e.shard = $3
on conflict (channel) do update set
    touched_at = excluded.touched_at,
    crashes = coalesce(c.crashes, excluded.crashes),
    top = greatest(c.top, (select max(m.pos) from millrace.message m where m.channel = c.channel))
returning channel, top, epoch,
    (select millrace.epoch_suffix(c.crashes, e.crashes, c.losses, e.losses) from millrace.epoch e where e.shard = $3),
    coalesce(version, 0), coalesce(version_epoch, ''), crashes is not null
