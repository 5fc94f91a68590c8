-- Replaces the epoch of new channels every ten days, so that the channels of the
-- last one can be forgotten.
update millrace.epoch set fresh = millrace.new_epoch(), fresh_since = now()
where shard = $1 and fresh_since < pg_catalog.now() - interval '10 days'
