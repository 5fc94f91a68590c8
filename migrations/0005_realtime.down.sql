drop function millrace.publish(text, text, jsonb);
drop function millrace.publish(text, jsonb, jsonb);
drop function millrace.publish(text, bytea, jsonb);
drop table millrace.namespace;
drop table millrace.outbox;
drop function millrace.outbox_gate();
drop table millrace.publish_key, millrace.message, millrace.channel, millrace.shard_term, millrace.shard;
