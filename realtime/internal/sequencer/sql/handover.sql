insert into millrace.outbox (shard, channel, data, meta, key, origin)
values ($1, $2, $3, $4, $5, $6)
returning id
