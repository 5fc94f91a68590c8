-- The hubs that are alive, but for $1: those that were heard of within $2 seconds.
select h.id from millrace.hub h where h.id <> $1 and h.heartbeat_at > now() - make_interval(secs => $2)
