-- A key whose time has passed may start as much as a new one. A bounded number of them, by their place; those that a
-- claim is just counting are passed over, since it may wait for others of them.
delete from millrace.function_rate
where ctid = any (array(
    select ctid from millrace.function_rate
    where arrival < now() - interval '1 minute'
    order by arrival
    limit 50000
    for update skip locked))
