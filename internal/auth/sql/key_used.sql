update millrace.api_key
   set last_used_at = now()
 where id = any($1::text[])
   and (last_used_at is null or last_used_at < now() - make_interval(secs => $2))
