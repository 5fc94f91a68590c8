select v.runtime, v.entry, f.path, b.data
  from millrace.function_version v
  join millrace.function_file f on f.function = v.function and f.version = v.version
  join millrace.blob b on b.digest = f.content
 where v.function = $1 and v.version = $2
