-- What a history shows, oldest first, with the top of the same snapshot: at most
-- $5 publications, and none after those whose data together are over $6 bytes.
select coalesce(c.top, 0), coalesce(c.epoch, e.fresh), m.pos, m.data, m.meta, m.created_at
from millrace.epoch e
left join millrace.channel_position c on c.channel = $1
left join lateral (
    select kept.pos, kept.data, kept.meta, kept.created_at,
           sum(octet_length(kept.data)) over (order by kept.pos rows unbounded preceding) - octet_length(kept.data) before
    from (
        select m.pos, m.data, m.meta, m.created_at
        from millrace.message m
        where m.channel = c.channel and m.epoch = c.stored_epoch
          and m.pos > greatest($2::bigint, c.top - $3::bigint)
          and m.created_at > pg_catalog.now() - pg_catalog.make_interval(secs => $4)
          and (m.expires_at is null or m.expires_at > pg_catalog.now())
        order by m.pos
        limit $5) kept) m on m.before <= $6
where e.shard = 0
