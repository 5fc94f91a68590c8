update millrace.river_job set priority = $2 where id = any ($1::bigint[])
