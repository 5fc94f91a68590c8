-- Deletes up to 1,000 deliveries that were done with seven days ago.
delete from millrace.callback_delivery
where ctid = any (array(
    select ctid from millrace.callback_delivery where finished_at < now() - interval '7 days' order by finished_at limit 1000))
