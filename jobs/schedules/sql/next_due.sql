-- Milliseconds until the next schedule is due, null when none is within the hour. $1 are those whose function this node
-- does not know.
select (extract(epoch from (
    select due_at from millrace.schedule
    where due_at < now() + interval '1 hour' and name <> all ($1::text[])
    order by due_at limit 1
) - clock_timestamp()) * 1000)::double precision
