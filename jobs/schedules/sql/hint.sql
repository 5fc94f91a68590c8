-- Schedules changed: every node looks at once for what is due next.
select pg_notify('millrace_schedules', '')
