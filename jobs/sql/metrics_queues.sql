-- Of each queue with due jobs, at most 100: those in the plain line and those in lanes, at most $1 of each, and the
-- seconds for which the oldest of the first 1,000 of either has waited. The recursions jump from queue to queue.
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
    limit 100
)
select w.queue,
    (select count(*)::integer from (select 1 from millrace.river_job j
        where j.state = 'available' and (j.metadata ->> 'lane') is null and j.queue = w.queue limit $1) x),
    (select count(*)::integer from (select 1 from millrace.river_job j
        where j.state = 'available' and (j.metadata ->> 'lane') is not null and j.queue = w.queue limit $1) x),
    date_part('epoch', now() - least(
        (select min(x.scheduled_at) from (select j.scheduled_at from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is null and j.queue = w.queue
            order by (j.scheduled_at at time zone interval '0') + j.priority * interval '1 hour', j.id limit 1000) x),
        (select min(x.scheduled_at) from (select j.scheduled_at from millrace.river_job j
            where j.state = 'available' and (j.metadata ->> 'lane') is not null and j.queue = w.queue
            order by j.kind collate "C", (j.metadata ->> 'lane') collate "C" limit 1000) x)))
from waiting w
