-- The counts of node $1 as they stand. They only grow, and one writer writes them.
insert into millrace.function_stat (seconds, at, function, node, completed, failed, dead, cancelled, wait, run)
select v.seconds, v.at, v.function, $1::text, v.completed, v.failed, v.dead, v.cancelled, v.wait::integer[], v.run::integer[]
from unnest($2::integer[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::text[], $10::text[]) as v (seconds, at, function, completed, failed, dead, cancelled, wait, run)
on conflict (seconds, function, at, node) do update
set completed = excluded.completed, failed = excluded.failed, dead = excluded.dead, cancelled = excluded.cancelled,
    wait = excluded.wait, run = excluded.run
