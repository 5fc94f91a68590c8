-- Which channels have another top than what was handed on. One that has no row
-- had no publication.
select c.channel
from unnest($1::text[], $2::bigint[], $3::text[]) handed (channel, pos, epoch)
join millrace.channel_position c on c.channel = handed.channel
where c.top <> handed.pos or c.epoch <> handed.epoch
