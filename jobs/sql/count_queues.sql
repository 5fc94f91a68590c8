-- Queued and running jobs of each queue, at most $1 of each, of at most 100 queues. The recursions jump from one
-- queue to the next over mr_fetch and over mr_lane instead of reading every queued row.
with recursive plain (queue) as (
    (select queue from millrace.river_job
     where state = 'available' and (metadata ->> 'lane') is null order by queue limit 1)
    union all
    select (select j.queue from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is null and j.queue > w.queue
            order by j.queue limit 1)
    from plain w where w.queue is not null
), limited (queue) as (
    (select queue from millrace.river_job
     where state = 'available' and (metadata ->> 'lane') is not null order by queue limit 1)
    union all
    select (select j.queue from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is not null and j.queue > w.queue
            order by j.queue limit 1)
    from limited w where w.queue is not null
), waiting (queue) as (
    select queue from plain where queue is not null
    union
    select queue from limited where queue is not null
), queued as (
    select w.queue,
        (select count(*) from (select 1 from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is null and j.queue = w.queue limit $1) x)
        + (select count(*) from (select 1 from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is not null and j.queue = w.queue limit $1) x) as n
    from waiting w limit 100
), running as (
    select r.queue, count(*) as n
    from (select queue from millrace.river_job where state = 'running' limit $1) r group by r.queue
)
select coalesce(q.queue, r.queue), least(coalesce(q.n, 0), $1), coalesce(r.n, 0)
from queued q full join running r on r.queue = q.queue
order by coalesce(q.queue, r.queue) collate "C"
