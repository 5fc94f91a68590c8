with swept as (
    delete from millrace.login_link where expires_at < now()
)
insert into millrace.login_link (hash, key_id, expires_at)
values ($1, $2, now() + make_interval(secs => $3))
