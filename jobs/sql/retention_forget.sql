-- Passes of groups that are no more.
delete from millrace.retention_pass where looked_at < now() - interval '1 day'
