-- seq is given out in the order of the arrays.
insert into millrace.job_log (job_id, attempt, at, level, message, fields)
select * from unnest($1::bigint[], $2::smallint[], $3::timestamptz[], $4::text[], $5::text[], $6::jsonb[])
