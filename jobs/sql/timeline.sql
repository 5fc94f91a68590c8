-- What the ended attempts of job $1 left, and the name of the node of the last one while that is known.
select coalesce(j.errors, '{}'),
    coalesce((select n.name from millrace.node n where n.id = j.attempted_by[array_upper(j.attempted_by, 1)]), '')
from millrace.river_job j
where j.id = $1
