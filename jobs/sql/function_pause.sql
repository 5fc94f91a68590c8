-- A pause is a limit of none: the function's jobs wait in its lanes, where they are in nobody's way.
insert into millrace.function_limit as l (function, paused_at) values ($1, now())
on conflict (function) do update set paused_at = coalesce(l.paused_at, excluded.paused_at)
returning paused_at
