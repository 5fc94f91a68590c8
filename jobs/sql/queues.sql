-- Queues that River's producers serve, or served within the last days, and those that are paused.
select coalesce(r.name, q.queue), q.paused_at
from millrace.river_queue r
full join millrace.queue_state q on q.queue = r.name
order by coalesce(r.name, q.queue) collate "C"
limit 1000
