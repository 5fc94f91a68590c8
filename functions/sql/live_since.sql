select f.name, f.revision, f.updated_at, v.version, v.runtime, v.config
  from millrace.function f
  left join millrace.function_version v on v.function = f.name and v.version = f.live_version
 where f.revision > $1
 order by f.revision
