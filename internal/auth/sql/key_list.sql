select id, name, scopes, created_at, coalesce(created_by, ''), expires_at, last_used_at, revoked_at
  from millrace.api_key
 where ($1 = '' or id > $1)
 order by id
 limit $2
