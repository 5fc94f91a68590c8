insert into millrace.outbox (shard, channel, data, meta, key, origin, options, size)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning id
