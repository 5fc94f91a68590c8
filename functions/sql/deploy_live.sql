select name, live_version
  from millrace.function
 where name = any($1) and live_version is not null
