drop trigger schedule_job_deleted on millrace.river_job;
drop function millrace.schedule_job_deleted();
drop table millrace.schedule_job;
drop table millrace.schedule;
