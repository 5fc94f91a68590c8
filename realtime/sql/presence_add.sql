-- Writes members of hub $1. Rows that stand there as they should be are left alone; of the others each comes back,
-- and whether it is new.
insert into millrace.presence as p (channel, client, hub, user_id, conn_info, chan_info)
select m.channel, m.client, $1, m.user_id, m.conn_info, m.chan_info
from unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[]) as m (channel, client, user_id, conn_info, chan_info)
on conflict (channel, client) do update
    set hub = excluded.hub, user_id = excluded.user_id, conn_info = excluded.conn_info, chan_info = excluded.chan_info
    where (p.hub, p.user_id, p.conn_info, p.chan_info)
        is distinct from (excluded.hub, excluded.user_id, excluded.conn_info, excluded.chan_info)
returning p.channel, p.client, p.xmax = 0
