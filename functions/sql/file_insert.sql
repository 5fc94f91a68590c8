insert into millrace.function_file (function, version, path, content)
select $1, $2, path, content
  from unnest($3::text[], $4::bytea[]) as new (path, content)
