with ended as (
    delete from millrace.web_session where hash = $1 returning hash
)
select pg_notify('millrace_auth', 'session ' || encode(hash, 'hex')) from ended
