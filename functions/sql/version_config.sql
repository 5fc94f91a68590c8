select config
  from millrace.function_version
 where function = $1 and version = $2
