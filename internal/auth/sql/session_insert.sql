with swept as (
    delete from millrace.web_session where expires_at < now() - interval '1 day'
)
insert into millrace.web_session (hash, key_id, expires_at)
values ($1, $2, now() + make_interval(secs => $3))
