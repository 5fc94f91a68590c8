drop table millrace.function_file;
alter table millrace.function drop constraint function_name_live_version_fkey;
drop table millrace.function_version;
drop table millrace.function;
drop sequence millrace.function_revision;
drop table millrace.blob;
drop function millrace.refuse_change();
