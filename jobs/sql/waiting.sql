-- What job $1 waits for; the empty text when it is not waiting, or for its time alone. Limits are judged as
-- millrace.claim_lanes does.
select case
        when j.state = 'scheduled' then
            case when j.attempt = 0 and j.metadata ? 'snoozes' then 'other_node' else '' end
        when j.state <> 'available' then ''
        when exists (select from millrace.queue_state s where s.queue = j.queue) then 'queue_paused'
        when l.paused_at is not null then 'function_paused'
        when l.concurrency <= (
            select count(*) from (
                select from millrace.river_job r
                where r.state = 'running' and r.metadata ->> 'lane' is not null and r.kind = j.kind
                  and split_part(r.metadata ->> 'lane', E'\x1f', 1) = split_part(j.metadata ->> 'lane', E'\x1f', 1)
                limit l.concurrency) slots) then 'concurrency'
        when exists (
            select from millrace.function_rate r
            where r.function = j.kind and r.key = split_part(j.metadata ->> 'lane', E'\x1f', 2)
              and r.arrival - (l.rate_burst - 1) * (l.rate_period / l.rate_limit) > now()) then 'rate'
        when not exists (
            select from millrace.node n
            where n.heartbeat_at > now() - interval '10 seconds' and not n.draining
              and n.info -> 'queues' ? j.queue) then 'no_node'
        else 'turn'
    end
from millrace.river_job j
left join millrace.function_limit l on l.function = j.kind
where j.id = $1
