-- Records a batch, in its own transaction. $3 is where the next one begins, 0 when there is none.
update millrace.operation
set position = $3::bigint, matched = matched + $4, done = done + $5, skipped = skipped + $6,
    state = case when $3::bigint > 0 then state else 'completed' end,
    finished_at = case when $3::bigint = 0 then now() end,
    lease_until = case when $3::bigint > 0 then now() + interval '10 seconds' end
where id = $1 and node = $2
