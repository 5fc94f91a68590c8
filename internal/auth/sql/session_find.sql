select key_id, extract(epoch from expires_at - now())::float8
  from millrace.web_session
 where hash = $1 and expires_at > now()
