-- At most $1 of each state. The orders are those of the indexes, so that no count needs more than a part of one.
select 'available', count(*) from (
    select 1 from millrace.river_job where state = 'available' and (metadata ->> 'lane') is null
    order by queue, (scheduled_at at time zone interval '0') + priority * interval '1 hour', id limit $1) x
union all select 'available', count(*) from (
    select 1 from millrace.river_job where state = 'available' and (metadata ->> 'lane') is not null
    order by queue, kind collate "C", (metadata ->> 'lane') collate "C" limit $1) x
union all select 'running', count(*) from (
    select 1 from millrace.river_job where state = 'running' order by attempted_at, id limit $1) x
union all select 'scheduled', count(*) from (
    select 1 from millrace.river_job where state = 'scheduled' order by scheduled_at, id limit $1) x
union all select 'pending', count(*) from (
    select 1 from millrace.river_job where state = 'pending' order by scheduled_at, id limit $1) x
union all select 'retryable', count(*) from (
    select 1 from millrace.river_job where state = 'retryable' order by scheduled_at, id limit $1) x
union all select 'completed', count(*) from (
    select 1 from millrace.river_job where state = 'completed' and finalized_at is not null
    order by finalized_at limit $1) x
union all select 'discarded', count(*) from (
    select 1 from millrace.river_job where state = 'discarded' and finalized_at is not null
    order by finalized_at limit $1) x
union all select 'cancelled', count(*) from (
    select 1 from millrace.river_job where state = 'cancelled' and finalized_at is not null
    order by finalized_at limit $1) x
