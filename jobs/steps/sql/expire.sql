-- Deletes a batch of events that are older than $1 seconds.
delete from millrace.event where ctid = any (array(
    select ctid from millrace.event where sent_at < now() - $1 * interval '1 second' order by sent_at limit $2))
