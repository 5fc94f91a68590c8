-- Takes up to $1 deliveries that are due, at most $2 of a host beside the number that $3 (host to number) says are under
-- way. The recursion jumps from one host to the next, so that a long line for one of them is not read for the others.
-- Until next_at nobody else takes them.
with recursive hosts (host) as (
    (select d.host from millrace.callback_delivery d where d.state = 'pending' order by d.host limit 1)
    union all
    select (select d.host from millrace.callback_delivery d
            where d.state = 'pending' and d.host > h.host order by d.host limit 1)
    from hosts h where h.host is not null
), due as (
    select d.id
    from hosts h
    cross join lateral (
        select c.id, c.next_at
        from millrace.callback_delivery c
        where c.state = 'pending' and c.host = h.host and c.next_at <= now()
        order by c.next_at, c.id
        limit greatest(0, $2::integer - coalesce(($3::jsonb ->> h.host)::integer, 0))
        for update skip locked
    ) d
    where h.host is not null
    order by d.next_at
    limit $1
)
update millrace.callback_delivery
set attempts = attempts + 1, last_at = now(), next_at = now() + interval '1 minute'
where id = any (array(select due.id from due))
returning id, message_id, job_id, function, event, url, host, body, attempts,
    date_part('epoch', give_up_at - now())
