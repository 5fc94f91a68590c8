insert into millrace.queue_state as q (queue) values ($1)
on conflict (queue) do update set paused_at = q.paused_at
returning paused_at
