-- The configuration of a function that is part of some program, seen within the last hour.
select config from millrace.native_function where name = $1 and seen_at > now() - interval '1 hour'
