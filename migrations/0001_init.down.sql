drop table millrace.node;
