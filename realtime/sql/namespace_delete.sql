delete from millrace.namespace where name = $1 and not built_in
