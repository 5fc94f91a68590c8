-- Removes the schedules that a function does not declare any more.
delete from millrace.schedule
where owner = $1 and name <> all ($2::text[])
