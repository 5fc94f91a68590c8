drop view millrace.function_retention;
drop table millrace.retention_pass;
drop table millrace.operation;
