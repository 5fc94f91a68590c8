-- Gives an id to the job of each tick, unless the tick has a job.
insert into millrace.schedule_job (schedule, tick, job_id)
select t.schedule, t.tick, nextval('millrace.river_job_id_seq'::regclass)
from unnest($1::text[], $2::timestamptz[]) as t (schedule, tick)
on conflict (schedule, tick) do nothing
returning schedule, tick, job_id
