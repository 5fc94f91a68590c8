select v.runtime, v.entry, v.config, code.data, coalesce(map.data, ''::bytea)
  from millrace.function_version v
  join millrace.blob code on code.digest = v.code
  left join millrace.blob map on map.digest = v.source_map
 where v.function = $1 and v.version = $2
