-- One look at up to $7 lanes of queue $1; see millrace.claim_lanes.
select id, attempt, max_attempts, kind, args, run, waited, lane, lanes, circled, contended, due_ms
from millrace.claim_lanes($1, $2, $3, $4, $5, $6, $7)
