-- Sends the command $1 with payload $2 to all hubs, for those that are cut off kept $3 seconds, and takes a few
-- commands away that nobody needs any more.
with expired as (
    delete from millrace.control where ctid = any (array(
        select ctid from millrace.control where expires_at < now() order by expires_at limit 100 for update skip locked))
), sent as (
    insert into millrace.control (kind, payload, expires_at) values ($1, $2, now() + make_interval(secs => $3)) returning id
)
select id::text, pg_notify('millrace_control', '') is null from sent
