-- What a history shows, oldest first, with the top of the same snapshot.
select c.top, c.epoch, m.pos, m.data, m.meta, m.created_at
from millrace.channel c
left join lateral (
    select m.pos, m.data, m.meta, m.created_at
    from millrace.message m
    where m.channel = c.channel and m.epoch = c.epoch
      and m.pos > greatest($2::bigint, c.top - $3::bigint)
      and m.created_at > pg_catalog.now() - pg_catalog.make_interval(secs => $4)
    order by m.pos
    limit $5) m on true
where c.channel = $1
