drop function millrace.broadcast_changes();
drop function millrace.channel_from(text, jsonb);
drop function millrace.chosen_columns(jsonb, text[]);
drop function millrace.foreign_cast(oid);
