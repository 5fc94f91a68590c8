-- The positions that idempotency keys got within the last ten minutes.
select k.channel, k.key, k.pos, k.epoch
from unnest($1::text[], $2::text[]) wanted (channel, key)
join millrace.publish_key k on k.channel = wanted.channel and k.key = wanted.key
where k.created_at > pg_catalog.now() - interval '10 minutes'
