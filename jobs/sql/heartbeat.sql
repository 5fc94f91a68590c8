insert into millrace.node as n (id, name, info, draining)
values ($1, $2, $3, $4)
on conflict (id) do update set heartbeat_at = now(), info = excluded.info, draining = excluded.draining
