-- Which hand-overs published nothing because of their key or their version, and
-- the answer to them.
select w.origin, coalesce(k.pos, c.top), coalesce(k.epoch, c.epoch), k.key is not null
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) w (origin, channel, key, version, version_epoch)
left join millrace.publish_key k on k.channel = w.channel and k.key = w.key
    and k.created_at > pg_catalog.now() - interval '10 minutes'
left join millrace.channel_position c on c.channel = w.channel and c.version >= w.version
    and (w.version_epoch is null or w.version_epoch = c.version_epoch)
where k.key is not null or c.channel is not null
