with handed as (
    insert into millrace.outbox (shard, channel, data, meta, key, origin, options, size)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    returning id, shard
)
select id, case when case when pg_catalog.pg_try_advisory_lock_shared(1835625580, shard)
                          then pg_catalog.pg_advisory_unlock_shared(1835625580, shard) end
           then pg_catalog.pg_notify('millrace_wake', '') end is null
from handed
