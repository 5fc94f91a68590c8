-- Deletes what a channel's history does not show any more: offsets up to keep
-- and rows older than ttl seconds. Rows of the last 15 s stay, because the
-- sender of a hand-over may still ask for them. The oldest row is looked at
-- first: where that one stays, so do the others, and none of them is read.
delete from millrace.message
where ctid = any (array(
    select old.ctid
    from unnest($1::text[], $2::bigint[], $3::bigint[]) limits (channel, keep, ttl)
    cross join lateral (
        select m.pos, m.created_at from millrace.message m
        where m.channel = limits.channel order by m.pos limit 1) oldest
    cross join lateral (
        select m.ctid from millrace.message m
        where m.channel = limits.channel
          and (m.pos <= limits.keep or m.created_at < pg_catalog.now() - pg_catalog.make_interval(secs => limits.ttl))
          and m.created_at < pg_catalog.now() - interval '15 seconds'
        order by m.pos
        limit $4) old
    where oldest.created_at < pg_catalog.now() - interval '15 seconds'
      and (oldest.pos <= limits.keep
           or oldest.created_at < pg_catalog.now() - pg_catalog.make_interval(secs => limits.ttl))
    limit $4))
