id, function, code, pattern, frame, message, state, count, first_seen, last_seen, changed_at, jobs
