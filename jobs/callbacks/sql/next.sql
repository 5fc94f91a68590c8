-- Seconds until the next delivery is due, of all hosts but $1, whose line is full; null when there is none. Read host by host, as in claim.sql.
with recursive hosts (host) as (
    (select d.host from millrace.callback_delivery d where d.state = 'pending' order by d.host limit 1)
    union all
    select (select d.host from millrace.callback_delivery d
            where d.state = 'pending' and d.host > h.host order by d.host limit 1)
    from hosts h where h.host is not null
)
select date_part('epoch', min((select c.next_at from millrace.callback_delivery c
    where c.state = 'pending' and c.host = h.host order by c.next_at limit 1)) - now())
from hosts h
where h.host is not null and h.host <> all ($1::text[])
