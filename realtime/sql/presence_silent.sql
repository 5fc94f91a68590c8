-- The other hubs that have been silent for $2 seconds and have members, or have been silent for a day.
select h.id
from millrace.hub h
where h.id <> $1 and h.heartbeat_at < now() - make_interval(secs => $2)
  and (h.heartbeat_at < now() - interval '1 day' or exists (select from millrace.presence p where p.hub = h.id))
