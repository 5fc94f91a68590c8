-- Makes up to $1 waiting jobs available whose time has come, of each kind of waiting. Jobs with a unique key are
-- left to River's scheduler, which knows how to settle a conflict of keys.
update millrace.river_job
set state = 'available'
where ctid = any (array(
        select ctid from millrace.river_job
        where state = 'retryable' and scheduled_at <= now() and unique_key is null
        order by scheduled_at, id limit $1 for update skip locked))
   or ctid = any (array(
        select ctid from millrace.river_job
        where state = 'scheduled' and scheduled_at <= now() and unique_key is null
        order by scheduled_at, id limit $1 for update skip locked))
returning id, attempt, kind, queue
