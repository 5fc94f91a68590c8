-- What changes with each batch of publications, and with each server that takes over.
select term, seq from millrace.shard where shard = 0
