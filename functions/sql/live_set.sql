update millrace.function
   set live_version = $2, revision = nextval('millrace.function_revision'), updated_at = now()
 where name = $1 and live_version is distinct from $2
