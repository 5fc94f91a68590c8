select pg_notify('millrace_deploy', '')
