select id, name, started_at, heartbeat_at, draining, heartbeat_at > now() - interval '10 seconds', info
from millrace.node
order by started_at, id
limit 1000
