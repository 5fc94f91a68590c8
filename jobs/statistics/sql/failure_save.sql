-- Adds what gathered to the groups, in the order of their ids, so that nodes do not wait for each other in a circle. A
-- group that was resolved is open again when it fails after that.
insert into millrace.failure_group as g (id, function, code, pattern, frame, message, count, first_seen, last_seen, jobs)
select v.id, v.function, v.code, v.pattern, v.frame, v.message, v.count, v.first_seen, v.last_seen, v.jobs::bigint[]
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::timestamptz[], $9::timestamptz[], $10::text[])
    as v (id, function, code, pattern, frame, message, count, first_seen, last_seen, jobs)
order by v.id
on conflict (id) do update
set count = g.count + excluded.count,
    message = excluded.message,
    first_seen = least(g.first_seen, excluded.first_seen),
    last_seen = greatest(g.last_seen, excluded.last_seen),
    jobs = (excluded.jobs || g.jobs)[1:10],
    state = case when g.state = 'resolved' and excluded.last_seen > g.changed_at then 'open' else g.state end
