-- The first revocation keeps its time. The notice is sent in either case: asking twice repairs a lost one.
with revoked as (
    update millrace.api_key
       set revoked_at = coalesce(revoked_at, now())
     where id = $1
    returning id
)
select pg_notify('millrace_auth', 'key ' || id) from revoked
