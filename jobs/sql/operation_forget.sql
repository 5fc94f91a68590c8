delete from millrace.operation
where finished_at < now() - case when dry_run then interval '1 hour' else interval '7 days' end
