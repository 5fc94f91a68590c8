drop table millrace.failure_group;
drop table millrace.function_stat;
