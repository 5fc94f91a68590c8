-- Deletes what a channel's history does not show any more: offsets up to keep
-- and rows older than ttl seconds, at most $6 in all. Rows of the last 15 s stay,
-- because the sender of a hand-over may still ask for them. The oldest row is
-- looked at first: where that one stays, so do the others, and none of them is
-- read. It says how many it deleted and of each channel the offset up to which
-- nothing is left; the next look begins above it ($4): under a snapshot that is
-- held, whoever looks from the first offset on meets all that was ever deleted.
with limits as materialized (
    select l.channel, l.keep, l.ttl, l.clear, l.top, oldest.pos oldest, oldest.created_at
    from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) l (channel, keep, ttl, clear, top)
    left join lateral (
        select m.pos, m.created_at from millrace.message m
        where m.channel = l.channel and m.pos > l.clear order by m.pos limit 1) oldest on true
), gone as (
    delete from millrace.message
    where ctid = any (array(
        select old.ctid
        from limits
        cross join lateral (
            select m.ctid from millrace.message m
            where m.channel = limits.channel and m.pos >= limits.oldest
              and (m.pos <= limits.keep or m.created_at < pg_catalog.now() - pg_catalog.make_interval(secs => limits.ttl))
              and m.created_at < pg_catalog.now() - interval '15 seconds'
            order by m.pos
            limit $6) old
        where limits.created_at < pg_catalog.now() - interval '15 seconds'
          and (limits.oldest <= limits.keep
               or limits.created_at < pg_catalog.now() - pg_catalog.make_interval(secs => limits.ttl))
        limit $6))
    returning channel, pos
)
select limits.channel, coalesce(g.pos, limits.oldest - 1, limits.top), coalesce(g.rows, 0)
from limits left join (select channel, max(pos) pos, count(*) rows from gone group by channel) g on g.channel = limits.channel
