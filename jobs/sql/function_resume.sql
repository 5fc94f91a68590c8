-- What is left are its other limits; a function without any has no row. Its jobs may wait in any queue.
with gone as (
    delete from millrace.function_limit
    where function = $1 and paused_at is not null and concurrency is null and rate_limit is null
    returning function
), resumed as (
    update millrace.function_limit set paused_at = null
    where function = $1 and paused_at is not null and (concurrency is not null or rate_limit is not null)
    returning function
)
select pg_notify('millrace.river_insert', json_build_object('queue', q.name)::text)
from millrace.river_queue q
where exists (select from gone) or exists (select from resumed)
