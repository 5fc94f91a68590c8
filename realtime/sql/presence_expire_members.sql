-- Takes up to $2 members of hub $1 away.
delete from millrace.presence
where ctid = any (array(select ctid from millrace.presence where hub = $1 limit $2))
returning channel, client, user_id, conn_info, chan_info
