-- Gives a channel that nobody published to its epoch, so that a subscriber's
-- position holds for what comes.
insert into millrace.channel (channel, top, epoch)
values ($1, 0, pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 8))
on conflict (channel) do nothing
