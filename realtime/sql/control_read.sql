-- The commands that a hub may not have seen: those of transactions that were not known to be over at its last read
-- ($1 is the xmin of then), of the last $2 seconds. The first column is the xmin for the next read.
select pg_snapshot_xmin(s.taken)::text, c.id::text, c.xid::text, c.kind, c.payload,
       extract(epoch from clock_timestamp() - c.created_at)::float8
from (select pg_current_snapshot() as taken) s
left join millrace.control c
    on c.xid >= $1::text::xid8 and c.expires_at > now() and c.created_at > now() - make_interval(secs => $2)
order by c.created_at
