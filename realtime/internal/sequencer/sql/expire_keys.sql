delete from millrace.publish_key
where ctid = any (array(
    select ctid from millrace.publish_key
    where created_at < pg_catalog.now() - interval '10 minutes' order by created_at limit $1))
