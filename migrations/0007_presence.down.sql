drop table millrace.control_answer;
drop table millrace.presence;
drop table millrace.hub;
drop table millrace.control;
