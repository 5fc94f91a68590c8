-- What was done stays done; a batch that is under way is waited for.
update millrace.operation
set state = 'cancelled', finished_at = now(), lease_until = null
where id = $1 and finished_at is null
