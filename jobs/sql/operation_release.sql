-- Lets others go on at once with what node $1 leaves.
update millrace.operation set lease_until = null where node = $1 and finished_at is null
