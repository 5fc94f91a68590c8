-- The operator's own command line names this key, so an earlier revocation or expiry of it ends here.
insert into millrace.api_key (id, name, secret_hash, scopes)
values ($1, $2, $3, $4)
on conflict (id) do update
   set scopes = excluded.scopes, revoked_at = null, expires_at = null
 where millrace.api_key.secret_hash = excluded.secret_hash
returning name, created_at, last_used_at
