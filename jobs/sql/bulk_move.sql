-- The new queue is told, as of a submission.
with moved as (
    update millrace.river_job set queue = $2 where id = any ($1::bigint[])
    returning state
), told as (
    select pg_notify('millrace.river_insert', json_build_object('queue', $2::text)::text)
    from (select from moved where state = 'available' limit 1) m
)
select from moved, (select count(*) from told) t
