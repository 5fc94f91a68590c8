delete from millrace.river_job where id = any ($1::bigint[])
