-- The routes of the live consumers.
select f.name, v.config -> 'socket' ->> 'route'
  from millrace.function f
  join millrace.function_version v on v.function = f.name and v.version = f.live_version
 where v.config ? 'socket'
