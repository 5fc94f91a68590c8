-- The secrets that sign, newest first.
select id::text, value, created_at, expires_at
from millrace.callback_secret
where expires_at is null or expires_at > now()
order by id desc
