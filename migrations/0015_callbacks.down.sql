drop trigger callback_wanted on millrace.river_job;
drop function millrace.callback_wanted();
drop table millrace.callback_delivery;
drop table millrace.callback_secret;
