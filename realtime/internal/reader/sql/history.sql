-- What a history shows, oldest first, with the top of the same snapshot.
select coalesce(c.top, 0), coalesce(c.epoch, e.fresh), m.pos, m.data, m.meta, m.created_at
from millrace.epoch e
left join millrace.channel_position c on c.channel = $1
left join lateral (
    select m.pos, m.data, m.meta, m.created_at
    from millrace.message m
    where m.channel = c.channel and m.epoch = c.stored_epoch
      and m.pos > greatest($2::bigint, c.top - $3::bigint)
      and m.created_at > pg_catalog.now() - pg_catalog.make_interval(secs => $4)
      and (m.expires_at is null or m.expires_at > pg_catalog.now())
    order by m.pos
    limit $5) m on true
where e.shard = 0
