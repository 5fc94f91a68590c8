insert into millrace.api_key (id, name, secret_hash, scopes, created_by, expires_at)
values ($1, $2, $3, $4, nullif($5, ''), now() + make_interval(secs => $6))
returning created_at, expires_at
