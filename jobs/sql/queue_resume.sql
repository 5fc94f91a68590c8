with resumed as (
    delete from millrace.queue_state where queue = $1 returning queue
), woken as (
    select pg_notify('millrace.river_insert', json_build_object('queue', queue)::text) from resumed
)
select null::timestamptz from woken
