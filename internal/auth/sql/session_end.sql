-- The row stays for a while, for the sweeps of the nodes that miss the notice.
with ended as (
    update millrace.web_session set expires_at = now() where hash = $1 and expires_at > now() returning hash
)
select pg_notify('millrace_auth', 'session ' || encode(hash, 'hex')) from ended
