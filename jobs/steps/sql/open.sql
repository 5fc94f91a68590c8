select position, kind, name, state, tries, alone, coalesce(turn, 0), fresh, value, error, due_in_ms, coalesce(child_id, 0)
from millrace.open_steps($1, $2, $3, $4)
