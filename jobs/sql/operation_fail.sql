update millrace.operation
set state = 'failed', error = $3, finished_at = now(), lease_until = null
where id = $1 and node = $2 and finished_at is null
