-- Takes members of hub $1 away: who left. Each is looked up by its key, whatever the planner knows of the table.
delete from millrace.presence
where hub = $1 and ctid = any (array(
    select p.ctid
    from unnest($2::text[], $3::text[]) as gone (channel, client)
    cross join lateral (
        select one.ctid from millrace.presence one
        where one.channel = gone.channel and one.client = gone.client limit 1) p))
returning channel, client
