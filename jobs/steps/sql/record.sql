-- Writes operations of attempt $2 of job $1, when client $3 still holds it: the lock keeps the row as it is until the
-- commit, so that nothing of a lost attempt is recorded behind the newer one's back. $4 is an array of entries. The
-- same ones again change nothing. 1 when the attempt has the job.
with fence as (
    select j.id
    from millrace.river_job j
    where j.id = $1 and j.attempt = $2::smallint and j.state is not distinct from 'running'
      and j.attempted_by[array_upper(j.attempted_by, 1)] = $3::text
    for share
), written as (
insert into millrace.job_step as s
    (job_id, position, kind, name, state, tries, alone, attempt, turn, value, error, due_at, event, key, match,
     child_id, settled_at)
select f.id, e.position, e.kind, e.name, e.state, e.tries, e.alone, $2::smallint, e.turn, e.value, e.error,
    coalesce(e.due_at, clock_timestamp() + e.wait_ms * interval '1 millisecond'), e.event, e.key, e.match,
    e.child_id, case when e.state <> 'waiting' then clock_timestamp() end
from fence f, jsonb_to_recordset($4::jsonb) as e (
    position integer, kind text, name text, state text, tries smallint, alone boolean, turn integer, value jsonb,
    error jsonb, due_at timestamptz, wait_ms bigint, event text, key text, match jsonb, child_id bigint)
on conflict (job_id, position) do update
set state = excluded.state, tries = excluded.tries, attempt = excluded.attempt, turn = excluded.turn,
    value = excluded.value, error = excluded.error, due_at = excluded.due_at, settled_at = excluded.settled_at
where s.state = 'waiting'
)
select count(*) from fence
