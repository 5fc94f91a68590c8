-- The $2 groups that failed last stay, for $1 seconds. Rows that are being counted on are left to the next time.
delete from millrace.failure_group
where id = any (array(
    select g.id from millrace.failure_group g
    where g.last_seen < now() - $1::bigint * interval '1 second'
       or g.id = any (array(select o.id from millrace.failure_group o order by o.last_seen desc offset $2))
    for update skip locked))
