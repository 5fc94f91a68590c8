-- What scanJob reads. $1 is the most bytes of an input and of an output that are returned: larger ones come back as
-- null. The stored size is looked at first, since it costs nothing.
id, kind, state::text,
case when $1::bigint = 9223372036854775807
    or pg_column_size(args) <= $1 and octet_length(args::text) <= $1 then args end,
case when $1 = 9223372036854775807
    or pg_column_size(metadata) <= $1 and octet_length((metadata -> 'output')::text) <= $1 then metadata -> 'output' end,
metadata ? 'output',
errors[array_upper(errors, 1)], 
-- Those that ended in a suspension do not count.
greatest(attempt - case jsonb_typeof(metadata #> '{run,steps,suspended}') when 'number' then (metadata #>> '{run,steps,suspended}')::integer else 0 end, 0),
greatest(max_attempts - case jsonb_typeof(metadata #> '{run,steps,suspended}') when 'number' then (metadata #>> '{run,steps,suspended}')::integer else 0 end, 1),
queue, priority,
metadata -> 'progress', coalesce(metadata ->> 'v', ''), tags, created_at,
-- SQL users may write 'infinity', which a time.Time cannot hold.
greatest(least(scheduled_at, '9999-12-31 00:00:00+00'), '0001-01-01 00:00:00+00'),
attempted_at, finalized_at, coalesce(attempted_by[array_upper(attempted_by, 1)], ''),
coalesce(metadata ->> 'schedule', ''), coalesce(metadata ->> 'tick', ''),
case jsonb_typeof(metadata -> 'rerun_of') when 'number' then (metadata ->> 'rerun_of')::bigint else 0 end
