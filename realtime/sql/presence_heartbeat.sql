-- Renews the lease of hub $1, or makes it. What comes back tells the hub whether its members are still there.
insert into millrace.hub as h (id, node) values ($1, $2)
on conflict (id) do update set heartbeat_at = now()
returning h.registered_at, h.expirations
