delete from millrace.function_stat
where ctid = any (array(
    select ctid from millrace.function_stat
    where seconds = $1 and at < now() - $2::bigint * interval '1 second'
    order by at limit $3))
