drop trigger job_deleted on millrace.river_job;
drop function millrace.job_deleted();
drop table millrace.idempotency;
drop table millrace.job_output;
drop table millrace.job_log;

alter table millrace.river_job reset (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_insert_scale_factor,
    autovacuum_analyze_scale_factor,
    autovacuum_vacuum_cost_delay
);

drop index millrace.mr_wait;
drop index millrace.mr_run;
drop index millrace.mr_fetch;

create index river_job_kind on millrace.river_job using btree (kind);
create index river_job_prioritized_fetching_index on millrace.river_job using btree (state, queue, priority, scheduled_at, id);
create index river_job_args_index on millrace.river_job using gin (args);
create index river_job_metadata_index on millrace.river_job using gin (metadata);
