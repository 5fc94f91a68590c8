drop table millrace.auth_secret;
drop table millrace.login_link;
drop table millrace.web_session;
drop table millrace.api_key;
