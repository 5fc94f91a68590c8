-- Lets a paused schedule tick again. The ticks of the pause are gone: nobody missed them.
update millrace.schedule
set paused_at = null, next_at = $2, due_at = $3, last_error = ''
where name = $1 and paused_at is not null
