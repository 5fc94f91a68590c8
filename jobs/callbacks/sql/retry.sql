-- Sends callback $2 of job $1 again, at once and for another 24 hours.
with again as (
    update millrace.callback_delivery
    set state = 'pending', next_at = now(), give_up_at = now() + interval '24 hours', finished_at = null
    where job_id = $1 and id = $2
    returning id
)
select count(pg_notify('millrace_callbacks', '')) from again
