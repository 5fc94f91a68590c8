-- The first job that was created at $1 or later, if created_at grows with id: halves what is between the first id and
-- the last until nothing is left. Each step reads the next row from the middle on.
with recursive search (low, high) as (
    select (select id from millrace.river_job order by id limit 1),
        (select id from millrace.river_job order by id desc limit 1) + 1
    union all
    select case when j.created_at < $1 then j.id + 1 else s.low end,
        case when j.created_at < $1 then s.high else s.middle end
    from (select low, high, low + (high - low) / 2 as middle from search where low < high) s
    cross join lateral (
        select id, created_at from millrace.river_job where id >= s.middle order by id limit 1) j
)
select j.id
from search s
cross join lateral (select id from millrace.river_job where id >= s.low order by id limit 1) j
where s.low >= s.high
limit 1
