-- The stored namespaces, in the order of their names.
select name, history_size, history_ttl, ephemeral, personal, any_bytes, max_size, subscribe, publish, presence_rule,
       history_rule, presence, join_leave, delta, cache_recovery, relaxed, publish_rate, updated_at
from millrace.namespace
where not built_in
order by name
