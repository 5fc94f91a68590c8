-- Holds the term until the transaction ends; no row when it is over.
select 1 from millrace.shard where shard = $1 and term = $2 for update
