-- A row if there was something to retry.
select from millrace.retry_job($1) r (retried) where r.retried
