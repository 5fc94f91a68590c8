-- Looks at the next $7 jobs of state $1 that finished more than $2 milliseconds ago, beyond ($5, $6) in the order of
-- their end, and deletes those of the functions $3 or, when $4 says so, those of all others. Rows that are held are
-- passed over: nothing waits. The index is River's (state, finalized_at), which every finished row is in anyway.
with page as (
    select j.id, j.kind, j.finalized_at, j.ctid as place
    from millrace.river_job j
    where j.state = $1::text::millrace.river_job_state and j.finalized_at is not null
      and j.finalized_at >= coalesce($5::timestamptz, '-infinity')
      and (j.finalized_at, j.id) > (coalesce($5::timestamptz, '-infinity'), $6::bigint)
      and j.finalized_at < now() - $2::bigint * interval '1 millisecond'
    order by j.finalized_at, j.id
    limit $7
), gone as (
    delete from millrace.river_job
    where ctid = any (array(
            select j.ctid from millrace.river_job j
            where j.ctid = any (array(select p.place from page p where (p.kind = any ($3::text[])) <> $4::boolean))
            for update skip locked))
      and state = $1::text::millrace.river_job_state
    returning id
)
select count(*), (select count(*) from gone),
    (array_agg(p.finalized_at order by p.finalized_at desc, p.id desc))[1],
    coalesce((array_agg(p.id order by p.finalized_at desc, p.id desc))[1], 0)
from page p
