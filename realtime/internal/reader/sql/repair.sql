-- What channels have above what was handed on. The lateral join is a nested
-- loop, so a channel's rows come together and in their order.
select handed.channel, coalesce(c.top, 0), coalesce(c.epoch, e.fresh), m.pos, m.data, m.meta, m.created_at
from unnest($1::text[], $2::bigint[], $3::text[]) handed (channel, pos, epoch)
join millrace.epoch e on e.shard = 0
left join millrace.channel_position c on c.channel = handed.channel
left join lateral (
    select m.pos, m.data, m.meta, m.created_at
    from millrace.message m
    where m.channel = c.channel and m.epoch = c.stored_epoch
      and m.pos > case when c.epoch = handed.epoch then handed.pos else 0 end
    order by m.pos
    limit $4) m on true
