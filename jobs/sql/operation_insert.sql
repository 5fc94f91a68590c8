-- Jobs that come after it are not the operation's: it begins at the newest one that there is.
insert into millrace.operation (action, filter, functions, queue, priority, dry_run, top, bottom, position)
select $1, $2, $3, nullif($4, ''), nullif($5::smallint, 0), $6, e.newest + 1, e.oldest, e.newest + 1
from (
    select coalesce((select id from millrace.river_job order by id desc limit 1), 0) as newest,
        coalesce((select id from millrace.river_job order by id limit 1), 0) as oldest
) e
returning 
