-- Removes a history. The top stays: later offsets go on from it.
delete from millrace.message
where ctid = any (array(
    select ctid from millrace.message where channel = $1 and pos <= $2 order by pos limit $3))
