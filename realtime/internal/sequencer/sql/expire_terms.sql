delete from millrace.shard_term where ended_at < pg_catalog.now() - interval '1 day'
