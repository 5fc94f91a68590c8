-- Nobody expires hub $1 but this transaction, and it cannot come back before the end of it.
select h.heartbeat_at < now() - interval '1 day'
from millrace.hub h
where h.id = $1 and h.heartbeat_at < now() - make_interval(secs => $2)
for update skip locked
