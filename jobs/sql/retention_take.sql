-- Where a pass goes on, for the one node that gets it. Once a day it begins again, for what was not to be had when it
-- came by.
select case when begun_at > now() - interval '1 day' then finished_at end,
    case when begun_at > now() - interval '1 day' then job_id else 0 end
from millrace.retention_pass
where name = $1
for update skip locked
