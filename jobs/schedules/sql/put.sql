-- Writes what a user says about a schedule, and when that makes it tick next. What happened to it so far stays.
insert into millrace.schedule as s (
    name, function, input, options, cron, timezone, overlap, catch_up, catch_up_window_ms, jitter_ms, owner, anchor,
    paused_at, next_at, due_at
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, nullif($11, ''), $12,
    case when $13::boolean then now() end, $14, case when not $13 then $15::timestamptz end
)
on conflict (name) do update set
    function = excluded.function, input = excluded.input, options = excluded.options, cron = excluded.cron,
    timezone = excluded.timezone, overlap = excluded.overlap, catch_up = excluded.catch_up,
    catch_up_window_ms = excluded.catch_up_window_ms, jitter_ms = excluded.jitter_ms, owner = excluded.owner,
    anchor = excluded.anchor,
    paused_at = case when excluded.paused_at is not null then coalesce(s.paused_at, excluded.paused_at) end,
    next_at = excluded.next_at, due_at = excluded.due_at, last_error = '', updated_at = now()
returning s.xmax = 0 -- it was inserted
