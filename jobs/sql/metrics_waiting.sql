-- What runs or waits for its time, by queue, among the first $1 of each state in the order of the indexes; and, under an
-- empty queue, the callbacks that are on their way.
select x.queue, 'running', count(*)::integer
from (select queue from millrace.river_job where state = 'running' order by attempted_at, id limit $1) x
group by x.queue
union all
select x.queue, 'scheduled', count(*)::integer
from (select queue from millrace.river_job where state = 'scheduled' order by scheduled_at, id limit $1) x
group by x.queue
union all
select x.queue, 'retrying', count(*)::integer
from (select queue from millrace.river_job where state = 'retryable' order by scheduled_at, id limit $1) x
group by x.queue
union all
select '', '', count(*)::integer
from (select 1 from millrace.callback_delivery where state = 'pending' order by host limit $1) x
