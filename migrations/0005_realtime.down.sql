drop function millrace.publish(text, text, jsonb);
drop function millrace.publish(text, jsonb, jsonb);
drop function millrace.publish(text, bytea, jsonb);
drop function millrace.publish_anyhow(text, bytea, jsonb);
drop function millrace.refuse_publication(text, bytea, boolean, integer);
drop function millrace.publish_options(jsonb, integer, interval);
drop table millrace.namespace;
drop table millrace.outbox;
drop view millrace.channel_position;
drop table millrace.publish_key, millrace.message, millrace.channel, millrace.crash_mark, millrace.epoch,
    millrace.shard_term, millrace.shard;
drop function millrace.epoch_suffix(integer, integer, integer, integer);
drop function millrace.new_epoch();
