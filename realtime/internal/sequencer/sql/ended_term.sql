-- How many batches a term that is over has committed; no row while it is not.
select seq from millrace.shard_term where shard = $1 and term = $2
