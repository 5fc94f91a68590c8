-- What scanOperation reads.
id, action, filter, functions, coalesce(queue, ''), coalesce(priority, 0), dry_run, state, top, bottom, position,
matched, done, skipped, error, coalesce(node, ''), created_at, started_at, finished_at
