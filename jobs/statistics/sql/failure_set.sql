update millrace.failure_group set state = $2, changed_at = now() where id = $1
