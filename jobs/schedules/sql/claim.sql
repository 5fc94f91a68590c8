-- Locks up to $1 schedules that are due, and tells what time it is. $2 are those whose function this node does not know.
select name, function, input, options, cron, timezone, overlap, catch_up, catch_up_window_ms, jitter_ms, anchor, next_at,
    now()
from millrace.schedule
where due_at <= now() and name <> all ($2::text[])
order by due_at
limit $1
for update skip locked
