-- Nodes that died an hour ago interest nobody any more.
delete from millrace.node where heartbeat_at < now() - interval '1 hour'
