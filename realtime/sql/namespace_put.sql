-- Writes a namespace with all its settings.
insert into millrace.namespace as n (
    name, built_in, read_only, history_size, history_ttl, ephemeral, personal, any_bytes, max_size,
    subscribe, publish, presence_rule, history_rule, presence, join_leave, delta, cache_recovery, relaxed, publish_rate)
values ($1, $2, $3, $4, make_interval(secs => $5), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
on conflict (name, built_in) do update set
    read_only = excluded.read_only, history_size = excluded.history_size, history_ttl = excluded.history_ttl,
    ephemeral = excluded.ephemeral, personal = excluded.personal, any_bytes = excluded.any_bytes,
    max_size = excluded.max_size, subscribe = excluded.subscribe, publish = excluded.publish,
    presence_rule = excluded.presence_rule, history_rule = excluded.history_rule, presence = excluded.presence,
    join_leave = excluded.join_leave, delta = excluded.delta, cache_recovery = excluded.cache_recovery,
    relaxed = excluded.relaxed, publish_rate = excluded.publish_rate, updated_at = now()
