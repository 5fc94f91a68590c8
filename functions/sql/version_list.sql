select v.version, v.version is not distinct from f.live_version, v.created_at
  from millrace.function_version v
  join millrace.function f on f.name = v.function
 where v.function = $1
 order by v.created_at desc, v.version
