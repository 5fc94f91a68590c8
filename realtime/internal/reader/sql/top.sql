-- A channel's position. One that nobody published to is at the beginning of the
-- epoch with which it will be made.
select coalesce(c.top, 0), coalesce(c.epoch, e.fresh)
from millrace.epoch e
left join millrace.channel_position c on c.channel = $1
where e.shard = 0
