-- Makes $1 the secret that signs, and lets the others sign for $2 more seconds. Expired ones go.
with old as (
    update millrace.callback_secret
    set expires_at = least(expires_at, now() + $2::double precision * interval '1 second')
    where expires_at is null or expires_at > now()
), gone as (
    delete from millrace.callback_secret where expires_at <= now()
)
insert into millrace.callback_secret (value) values ($1)
returning id::text, value, created_at, expires_at
