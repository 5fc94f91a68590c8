-- A row if batch $3 of operation $1 is still node $2's to do. Nobody else can begin it before this transaction ends.
select from millrace.operation
where id = $1 and node = $2 and position = $3 and finished_at is null
for update
