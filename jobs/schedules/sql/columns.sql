name, function, input, options, cron, timezone, overlap, catch_up, catch_up_window_ms, jitter_ms, paused_at is not null,
coalesce(owner, ''), anchor, next_at, last_tick_at, last_job_at, coalesce(last_job_id, 0), fired, skipped, missed,
last_error, created_at, updated_at
