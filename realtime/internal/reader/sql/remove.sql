-- Deletes what is left of removed histories: the rows of epochs that are over.
delete from millrace.message
where ctid = any (array(
    select m.ctid from millrace.message m
    join millrace.channel c on c.channel = m.channel
    where m.channel = $1 and m.epoch <> c.epoch order by m.pos limit $2))
