-- How often a job was handed on. Whoever inserts rows with SQL may have put anything into the metadata.
select case
        when jsonb_typeof(metadata -> 'snoozes') = 'number' then least(abs((metadata -> 'snoozes')::numeric), 1000)::integer
        else 0
    end
from millrace.river_job
where id = $1
