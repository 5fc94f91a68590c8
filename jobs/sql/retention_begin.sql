insert into millrace.retention_pass (name) values ($1) on conflict (name) do nothing
