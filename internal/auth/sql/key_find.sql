-- Time left by the database's clock: the caller adds it to a monotonic reading of its own.
select name, secret_hash, scopes, revoked_at is not null, extract(epoch from expires_at - now())::float8
  from millrace.api_key
 where id = $1
