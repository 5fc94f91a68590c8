drop function millrace.enqueue_placed(
    text, jsonb, bigint, text, jsonb, text, integer, integer, timestamptz, bigint, text[], jsonb);
drop function millrace.backoff_text(jsonb);
drop function millrace.rule_text(jsonb);
drop function millrace.backoff_option(jsonb);
drop function millrace.rule_options(jsonb);
drop function millrace.rule_option(text, jsonb);
drop function millrace.option_ms(jsonb, text, bigint, bigint);
drop function millrace.place_job(
    bytea, jsonb, bigint, text, jsonb, text, integer, integer, timestamptz, bigint, text[], jsonb);
drop function millrace.rule_time(jsonb, text);
drop function millrace.unique_key(jsonb, text, jsonb);
drop trigger unique_freed on millrace.river_job;
drop function millrace.unique_freed();
drop table millrace.job_unique;
