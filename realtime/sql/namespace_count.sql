select count(*) from millrace.namespace where not built_in and name <> $1
